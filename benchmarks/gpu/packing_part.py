"""Part 5: several runs on one GPU: processes against cohorts, and the prototypes of a cohort's training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from benchmarks.cohort_prototypes.cohort_members import prepare_lockstep
from benchmarks.cohort_prototypes.cohort_speeds import lockstep_lines, lockstep_speeds, lockstep_verdict, time_ways
from benchmarks.cohort_prototypes.cohort_ways import build_ways, member_of_a_process
from benchmarks.gpu.part_job import PartJob, fitting_rounds, measured, texts
from benchmarks.gpu.part_records import PartSection
from benchmarks.harness.command_line import CORES
from benchmarks.harness.interleaved_rounds import Quartiles
from benchmarks.harness.workloads import BENCHMARK_MODELS, EpochWorkload
from benchmarks.packing import (
    COHORT,
    ONE,
    PROCESSES,
    Packed,
    both_ways,
    packed_speeds,
    packing_lines,
    packing_verdict,
    time_packed,
)
from tune_runs.preview.probe_processes import ProbeProcesses

WayMedians = Mapping[int, Mapping[str, float]]
"""Number of runs at once -> way -> images per second of all together."""


class PackingSizes(NamedTuple):
    """Numbers of runs at once, and the sizes of an epoch."""

    counts: tuple[int, ...]
    packed_batches: int
    lockstep_batches: int
    batch: int
    rounds: int
    threads: int
    """On CPU, of all processes together."""


FULL, TOY = PackingSizes((1, 2, 4, 8, 16), 50, 30, 128, 7, CORES), PackingSizes((1, 2), 1, 1, 4, 3, 1)


def measure(job: PartJob) -> None:
    """Measure packing, then the prototypes, of the model with a target before the other."""
    sizes = TOY if job.is_dry_run else FULL
    models = ["resnet8"] if job.is_dry_run else list(BENCHMARK_MODELS)
    cases = [(kind, model) for model in models for kind in ("packing", "prototypes")]
    for place, (kind, model) in enumerate(cases):
        section = packing_section if kind == "packing" else prototype_section
        batches = sizes.packed_batches if kind == "packing" else sizes.lockstep_batches
        work = EpochWorkload(model, batches, sizes.batch, job.device, exact=False)
        until = job.until_share(len(cases) - place)
        job.measure(f"{BENCHMARK_MODELS[model].name}, {kind}", partial(section, work, sizes, until))
    job.finish()


def packing_section(work: EpochWorkload, sizes: PackingSizes, until: float) -> PartSection:
    """Measure processes and cohorts in as many rounds as fit; `until` is on the monotonic clock."""
    packed = list(dict.fromkeys([ONE, *(Packed(way, count) for count in sizes.counts for way in (PROCESSES, COHORT))]))
    with both_ways(work, max(sizes.counts), sizes.threads) as ways:
        rounds, found = fitting_rounds(partial(time_packed, ways, packed), until, sizes.rounds)
    rows = packed_speeds(found, work.num_batches * work.batch)
    medians = medians_by_count({(one.runs, one.way): row.images_per_s for one, row in rows.items()})
    lines = [f"{rounds} rounds of {work.num_batches} batches of {work.batch}", *packing_lines(rows, work.device)]
    verdict = packing_verdict({one: row.of_one for one, row in rows.items()}, work.case, work.device)
    values = {"work": work, "rounds": rounds, "rows": [{**one._asdict(), **row._asdict()} for one, row in rows.items()]}
    return PartSection("", texts([*lines, *winner_lines(medians)]), values, measured((verdict,)))


def prototype_section(work: EpochWorkload, sizes: PackingSizes, until: float) -> PartSection:
    """Measure members in turn, by torch.func, by grouped convolutions and in processes."""
    setup = prepare_lockstep(work)
    with ProbeProcesses(partial(member_of_a_process, work)) as processes:
        processes.grow(max(sizes.counts))
        ways = build_ways(setup, sizes.counts, processes)
        rounds, found = fitting_rounds(partial(time_ways, ways), until, sizes.rounds)
    rows = lockstep_speeds(found, ways, work.num_batches * work.batch)
    medians = medians_by_count(
        {(count, name): row.images_per_s for count, named in rows.items() for name, row in named.items()}
    )
    options = f"{setup.options.precision}, {setup.options.memory_format}"
    lines = [f"{rounds} rounds of {work.num_batches} batches of {work.batch}, {options}", *lockstep_lines(rows)]
    values = {"work": work, "rounds": rounds, "rows": rows}
    verdict = lockstep_verdict(rows, work.case, work.device)
    return PartSection("", texts([*lines, *winner_lines(medians)]), values, measured((verdict,)))


def medians_by_count(speeds: Mapping[tuple[int, str], Quartiles]) -> WayMedians:
    """Return the medians of (number, way) -> images per second, by number."""
    medians: dict[int, dict[str, float]] = {}
    for (count, way), (_, median, _) in speeds.items():
        medians.setdefault(count, {})[way] = median
    return medians


def winner_lines(medians: WayMedians) -> Iterator[str]:
    """Say for each number of runs which way is the fastest, and by how much.

    >>> list(winner_lines({1: {"processes": 5.0}, 2: {"processes": 8.0, "cohort": 10.0}}))
    ['2 at once: cohort wins, 1.25 times processes']
    """
    for count, speeds in sorted(medians.items()):
        first, *others = sorted(speeds, key=lambda way: -speeds[way])
        if others:
            ratios = ", ".join(f"{speeds[first] / speeds[way]:.2f} times {way}" for way in others)
            yield f"{count} at once: {first} wins, {ratios}"
