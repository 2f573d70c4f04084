"""Part 4: `benchmarks.throughput` for ResNet-32 and ResNet-8: the peer, each option, and the bound."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch

from benchmarks.gpu.part_job import PartJob, fitting_rounds, measured, texts
from benchmarks.gpu.part_records import PartSection
from benchmarks.harness.command_line import CORES
from benchmarks.harness.workloads import BENCHMARK_MODELS
from benchmarks.throughput.pipelines import TrainerPipeline
from benchmarks.throughput.throughput_table import (
    build_pipelines,
    pipeline_speeds,
    throughput_lines,
    throughput_verdicts,
    time_pipelines,
)

MOST_WORKERS = 8


class ThroughputSizes(NamedTuple):
    """Sizes of an epoch, and who makes the peer's batches."""

    batches: int
    batch: int
    rounds: int
    workers: tuple[int, ...]


FULL = ThroughputSizes(100, 128, 7, tuple(sorted({2, max(1, min(MOST_WORKERS, CORES - 1))})))
TOY = ThroughputSizes(1, 4, 3, (0,))


def measure(job: PartJob) -> None:
    """Measure both models."""
    torch.manual_seed(0)
    for place, key in enumerate(BENCHMARK_MODELS):
        until = job.until_share(len(BENCHMARK_MODELS) - place)
        job.measure(BENCHMARK_MODELS[key].name, partial(throughput_section, key, job, until))
    job.finish()


def throughput_section(key: str, job: PartJob, until: float) -> PartSection:
    """Measure one model in as many rounds as fit into its time.

    Args:
        key: of BENCHMARK_MODELS.
        job: of this part.
        until: end of its time, on the monotonic clock.
    """
    sizes = TOY if job.is_dry_run else FULL
    device = torch.device(job.device)
    pipelines = build_pipelines(BENCHMARK_MODELS[key], sizes.batches, sizes.batch, sizes.workers, device)
    rounds, taken = fitting_rounds(partial(time_pipelines, pipelines), until, sizes.rounds)
    rows = pipeline_speeds(taken, sizes.batches * sizes.batch)
    lines = [f"batch {sizes.batch}, {rounds} rounds of {sizes.batches} batches", *throughput_lines(rows)]
    lines += [
        f"{name}: {one.trainer.device_options.describe()}"
        for name, one in pipelines.items()
        if isinstance(one, TrainerPipeline)
    ]
    verdicts = () if job.is_dry_run else measured(throughput_verdicts(rows, job.device))
    return PartSection("", texts(lines), {"sizes": sizes, "rounds": rounds, "rows": rows}, verdicts)
