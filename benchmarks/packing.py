"""Several runs on one device at once, compared with one run at a time.

    python -m benchmarks.packing [--model resnet32] [--runs 1 2 4 8] [--ways processes cohort] [--rounds 7]
                                 [--batches 8] [--batch 128] [--device cuda] [--threads 1] [--exact] [--json FILE]

Two ways: *processes*, one for each run, as for trials that share a GPU by `resources: {gpu: 0.25}`; and a *cohort*,
runs that take turns in one process, as by `resources: {gpu: 1, cohort: 8}`. All have `device.fast: true` unless
`--exact` is given. In a round K runs train one epoch at the same time, for every way and K in a new random order;
`images/s` is the speed of all together from the first start to the last end, `of one` its ratio to one run in a
process, in the same round. The table has medians and, in brackets, quartiles, and for a GPU the largest memory of all
runs together. The first round warms up. On CPU `--threads` are divided among the processes.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not present
is `not measured`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from absgd.training import gpu_names
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.interleaved_rounds import Quartiles, interleaved_rounds, quartile_cell, quartiles
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status
from benchmarks.harness.workloads import (
    BENCHMARK_MODELS,
    EpochWorkload,
    add_workload_options,
    made_up_splits,
    stage_two_run,
)
from tune_runs.preview.probe_processes import ProbeProcesses, ProbeProcessLost, TimedPass, TrainOnRequest, span_s
from tune_runs.preview.probe_trials import OneTrial, PassRequest, TrialsInTurns

TARGET = 4.0
"""Least speed of the best number of runs together over one at a time, for ResNet-32 on a data-centre GPU."""
PROCESSES, COHORT = "processes", "cohort"


class Packed(NamedTuple):
    """A number of runs at once, and how they share the device."""

    way: str
    runs: int


ONE = Packed(PROCESSES, 1)
TrainAtOnce = Callable[[int], list[TimedPass]]
"""Lets a number of runs train one epoch at the same time; returns the pass of each process."""


class PackedSpeed(NamedTuple):
    """Speed and memory of several runs at once."""

    images_per_s: Quartiles
    of_one: Quartiles
    peak_bytes: int
    """Memory of all runs together."""


def build_packed_run(work: EpochWorkload, cohort_size: int) -> TrainOnRequest:
    """Build what one process trains: a run, or a cohort of `cohort_size` runs."""
    model = BENCHMARK_MODELS[work.case]
    config = stage_two_run(model, work.batch, work.device, {} if work.exact else {"fast": True})
    splits = made_up_splits(model, work.num_batches * work.batch)
    if cohort_size == 1:
        return OneTrial(config, splits)
    return TrialsInTurns(config, splits, cohort_size)


@contextmanager
def both_ways(work: EpochWorkload, most: int, threads: int) -> Iterator[dict[str, TrainAtOnce]]:
    """Map each way to a function that trains runs in that way; the processes end with the block.

    Args:
        work: the epoch of each run.
        most: largest number of runs at once.
        threads: threads of all processes together.
    """
    build, build_cohort = (partial(build_packed_run, work, size) for size in (1, max(2, most)))
    with ProbeProcesses(build) as processes, ProbeProcesses(build_cohort) as cohort:
        processes.grow(most)
        yield {
            PROCESSES: lambda runs: processes.train([PassRequest(1, max(1, threads // runs), 1)] * runs),
            COHORT: lambda runs: cohort.train([PassRequest(runs, threads, 1)]),
        }


def time_packed(
    ways: Mapping[str, TrainAtOnce], packed: Sequence[Packed], rounds: int
) -> dict[Packed, list[list[TimedPass]]]:
    """Return the passes of all processes in each round; the first round warms up."""
    found: dict[Packed, list[list[TimedPass]]] = {one: [] for one in packed}
    for one, is_counted in interleaved_rounds([[one] for one in packed], rounds):
        passes = ways[one.way](one.runs)
        if is_counted:
            found[one].append(passes)
    return found


def packed_speeds(found: Mapping[Packed, list[list[TimedPass]]], num_images: int) -> dict[Packed, PackedSpeed]:
    """Return images per second of all runs together, and ratios to one run within each round.

    Args:
        found: passes of every round.
        num_images: images that each run trains on.
    """
    speeds = {
        packed: [packed.runs * num_images / span_s(passes) for passes in rounds] for packed, rounds in found.items()
    }
    return {
        packed: PackedSpeed(
            quartiles(own),
            quartiles([one / alone for one, alone in zip(own, speeds[ONE], strict=True)]),
            max(sum(one.peak_bytes for one in passes) for passes in found[packed]),
        )
        for packed, own in speeds.items()
    }


def packing_verdict(of_one: Mapping[Packed, Quartiles], model: str, device: str) -> TargetVerdict:
    """Compare the best way and number of runs with the target.

    Args:
        of_one: speed of all runs together over one at a time.
        model: key of BENCHMARK_MODELS.
        device: kind of device.
    """
    wanted = f"cuda, resnet32: together at least {TARGET:g} times one at a time"
    if (model, device) != ("resnet32", "cuda"):
        return TargetVerdict(None, wanted)
    packed, (low, median, high) = max(of_one.items(), key=lambda item: item[1][1])
    got = f"got {median:.3f} (quartiles {low:.3f} to {high:.3f}) with {packed.runs} runs, {packed.way}"
    return TargetVerdict(median >= TARGET, f"{wanted}, {got}")


def packing_lines(rows: Mapping[Packed, PackedSpeed], device: str) -> Iterator[str]:
    """Format the rows as lines of text."""
    yield f"{'runs':>6} {'way':<10} {'images/s together':>28} {'of one':>26} {'GPU memory':>12}"
    for packed, row in rows.items():
        memory = f"{row.peak_bytes / 2**20:,.0f} MiB" if device == "cuda" else "-"
        speed, of_one = quartile_cell(row.images_per_s, ",.0f"), quartile_cell(row.of_one, ".3f")
        yield f"{packed.runs:>6} {packed.way:<10} {speed:>28} {of_one:>26} {memory:>12}"


def packing_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.packing", __doc__)
    parser.add_argument("--model", choices=list(BENCHMARK_MODELS), default="resnet32")
    parser.add_argument("--runs", type=at_least(1), nargs="+", default=[1, 2, 4, 8], help="runs at once; 1 is added")
    parser.add_argument("--ways", choices=[PROCESSES, COHORT], nargs="+", default=[PROCESSES, COHORT])
    parser.add_argument("--batches", type=at_least(1), default=8, help="batches of an epoch")
    parser.add_argument("--exact", action="store_true", help="keep the defaults of `device`")
    add_workload_options(parser, threads_help="on CPU, threads of all processes together")
    return parser


def main() -> int:
    """Measure and print; return the exit status."""
    parser = packing_parser()
    options = parser.parse_args()
    runs = sorted({1, *options.runs})
    packed = list(dict.fromkeys([ONE, *(Packed(way, count) for way in options.ways for count in runs)]))
    work = EpochWorkload(options.model, options.batches, options.batch, options.device, options.exact)
    about = report_environment(parser.prog, gpu_names())
    print(json.dumps(about))
    try:
        with both_ways(work, max(runs), options.threads) as ways:
            rows = packed_speeds(time_packed(ways, packed, options.rounds), work.num_batches * work.batch)
    except ProbeProcessLost as error:
        sys.exit(f"one of {max(runs)} runs ended: {error}: try fewer --runs or a smaller --batch")
    verdict = packing_verdict({one: row.of_one for one, row in rows.items()}, work.case, work.device)
    print(*packing_lines(rows, work.device), verdict, sep="\n")
    report = {
        "work": work._asdict(),
        "rounds": options.rounds,
        "threads": options.threads,
        "rows": [{**packed._asdict(), **row._asdict()} for packed, row in rows.items()],
        "environment": about,
    }
    write_json_report(options.json, report)
    return exit_status([verdict])


if __name__ == "__main__":
    sys.exit(main())
