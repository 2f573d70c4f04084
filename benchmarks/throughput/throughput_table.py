"""Pipelines of one model timed in interleaved rounds, their ratios, and the verdicts on the targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch

from benchmarks.harness.interleaved_rounds import Quartiles, interleaved_rounds, quartile_cell, quartiles
from benchmarks.harness.target_verdicts import TargetVerdict
from benchmarks.harness.workloads import BenchmarkModel, made_up_splits, stage_two_run
from benchmarks.throughput.pipelines import (
    BatchesAlone,
    EpochSeconds,
    Pipeline,
    ResidentBatchBound,
    TorchvisionPipeline,
    TrainerPipeline,
)

EXACT, FAST = "exact", "fast"
DEVICE_OPTIONS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "cpu": {
        EXACT: {},
        "channels_last": {"memory_format": "channels_last"},
        FAST: {"fast": True},
    },
    "cuda": {
        EXACT: {},
        "no synchronisation": {
            "fast": True,
            "precision": "float32",
            "memory_format": "contiguous",
            "cuda_graph": False,
        },
        "channels_last": {"fast": True, "precision": "float32", "cuda_graph": False},
        "bfloat16": {"fast": True, "cuda_graph": False},
        FAST: {"fast": True},
    },
}
"""Kind of device -> row -> options of `device`; each row adds one to the row before."""


class RatioTarget(NamedTuple):
    """The least that a median ratio must be, on one kind of device."""

    device: str
    row: str
    ratio: str
    least: float


RATIO_TARGETS = (
    RatioTarget("cpu", EXACT, "of_bound", 0.95),
    RatioTarget("cpu", FAST, "of_bound", 0.95),
    RatioTarget("cpu", EXACT, "of_peer", 1.2),
    RatioTarget("cuda", FAST, "of_peer", 5.0),
    RatioTarget("cuda", FAST, "of_bound", 0.8),
)


class PipelineSpeed(NamedTuple):
    """One row of the table."""

    train_images_per_s: Quartiles
    epoch_images_per_s: Quartiles
    of_peer: Quartiles | None
    of_bound: Quartiles | None


def build_pipelines(
    model: BenchmarkModel, batches: int, batch: int, workers: Sequence[int], device: torch.device
) -> dict[str, Pipeline]:
    """Build every row of a model, by name.

    Args:
        model: what is trained.
        batches: batches of an epoch.
        batch: images of a batch.
        workers: numbers of workers of the peer's DataLoader.
        device: where it is trained.
    """
    num_images = batches * batch
    splits = made_up_splits(model, num_images)
    exact = stage_two_run(model, batch, device.type, {})
    pipelines: dict[str, Pipeline] = {
        f"peer, {count} workers": TorchvisionPipeline(exact, splits, count, device) for count in workers
    }
    for name, options in DEVICE_OPTIONS[device.type].items():
        config = stage_two_run(model, batch, device.type, options)
        pipelines[f"ours, {name}"] = TrainerPipeline(config, splits)
        with users_cudnn():  # a captured graph keeps the kernels of its capture
            pipelines[f"bound, {name}"] = ResidentBatchBound(config, num_images, device)
    pipelines["batches alone"] = BatchesAlone(exact, splits, device)
    return pipelines


def time_pipelines(pipelines: Mapping[str, Pipeline], rounds: int) -> dict[str, list[EpochSeconds]]:
    """Time an epoch of each pipeline in each round, a run next to its bound; the first round warms up."""
    pairs = [
        [name for name in pipelines if _option(name) == option] for option in dict.fromkeys(map(_option, pipelines))
    ]
    seconds: dict[str, list[EpochSeconds]] = {name: [] for name in pipelines}
    for name, is_counted in interleaved_rounds(pairs, rounds):
        # A Trainer sets cuDNN's switches for the whole process; peer and bound get those that users have.
        with nullcontext() if isinstance(pipelines[name], TrainerPipeline) else users_cudnn():
            taken = pipelines[name].epoch()
        if is_counted:
            seconds[name].append(taken)
    return seconds


def users_cudnn() -> AbstractContextManager[object]:
    """Select the fastest convolutions, whether or not they are deterministic."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=False, benchmark=True)


def _option(name: str) -> str:
    return name.partition(", ")[2]


def pipeline_speeds(seconds: Mapping[str, list[EpochSeconds]], num_images: int) -> dict[str, PipelineSpeed]:
    """Return images per second, and ratios within each round to the faster peer's epoch and to a run's own bound."""
    peers = [name for name in seconds if name.startswith("peer")]
    peer = min(peers, key=lambda name: statistics.median(one.whole for one in seconds[name]))
    rows = {}
    for name, taken in seconds.items():
        kind = name.partition(", ")[0]
        bound = seconds.get(f"bound, {_option(name)}") if kind == "ours" else None
        rows[name] = PipelineSpeed(
            quartiles([num_images / one.train for one in taken]),
            quartiles([num_images / one.whole for one in taken]),
            None if kind not in ("ours", "peer") else _ratios(seconds[peer], taken, "whole"),
            None if bound is None else _ratios(bound, taken, "train"),
        )
    return rows


def _ratios(others: list[EpochSeconds], mine: list[EpochSeconds], part: str) -> Quartiles:
    return quartiles([getattr(other, part) / getattr(one, part) for other, one in zip(others, mine, strict=True)])


def throughput_verdicts(rows: Mapping[str, PipelineSpeed], device: str) -> Iterator[TargetVerdict]:
    """Compare the rows of one kind of device with every target."""
    for target in RATIO_TARGETS:
        wanted = f"{target.device}, {target.row}: {target.ratio.replace('_', ' ')} at least {target.least:g}"
        if target.device != device:
            yield TargetVerdict(None, wanted)
            continue
        low, median, high = getattr(rows[f"ours, {target.row}"], target.ratio)
        sentence = f"{wanted}, got {median:.3f} (quartiles {low:.3f} to {high:.3f})"
        yield TargetVerdict(median >= target.least, sentence)


def throughput_lines(rows: Mapping[str, PipelineSpeed]) -> Iterator[str]:
    """Format the rows as lines of text."""
    yield f"{'':>24} {'train, images/s':>26} {'epoch, images/s':>26} {'of peer':>24} {'of bound':>24}"
    for name, row in rows.items():
        cells = [quartile_cell(speed, ".0f") for speed in (row.train_images_per_s, row.epoch_images_per_s)]
        cells += ["" if ratio is None else quartile_cell(ratio, ".3f") for ratio in (row.of_peer, row.of_bound)]
        yield f"{name:>24} {cells[0]:>26} {cells[1]:>26} {cells[2]:>24} {cells[3]:>24}"
