"""Several runs on one device at once: what they train together, against one run at a time.

    python -m benchmarks.packing [--model resnet32] [--runs 1 2 4 8] [--ways processes cohort] [--rounds 7]
                                 [--batches 8] [--batch 128] [--device cuda] [--threads 1] [--exact] [--json FILE]

Two ways: *processes*, each with a run of its own, as trials that share a GPU by `resources: {gpu: 0.25}` have; and a
*cohort*, runs that take turns in one process, as by `resources: {gpu: 1, cohort: 8}`. All with `device.fast: true`
unless `--exact`. In a round K runs train one epoch at the same time, for every way and K in an order drawn anew;
`images/s` is what they trained together from the first start to the last end, `of one` its ratio to that of one run
in a process, in the same round. Shown are medians and, in brackets, quartiles, and for a GPU the largest memory that
the runs took together. The first round warms up. On CPU `--threads` are divided among the processes.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not there is
`not measured`.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from absgd.training import gpu_names
from benchmarks.command_line import CORES, at_least, command_parser, environment
from benchmarks.throughput import quartiles
from benchmarks.throughput_sides import CASES, make_splits, run_config
from tune_runs.preview.probe_processes import ProbeProcesses, ProbeProcessLost, TimedPass, TrainOnRequest, span_s
from tune_runs.preview.probe_trials import OneTrial, PassRequest, TrialsInTurns

TARGET = 4.0
"""Of the most that any number of runs trains together, over one at a time, for ResNet-32 on a data-centre GPU."""


PROCESSES, COHORT = "processes", "cohort"


class Packed(NamedTuple):
    """So many runs at once."""

    way: str
    runs: int


ONE = Packed(PROCESSES, 1)
TrainAtOnce = Callable[[int], list[TimedPass]]
"""Lets so many runs train an epoch at the same time; what each process did."""


class Row(NamedTuple):
    """Medians, each with quartiles: low, median, high."""

    images_per_s: tuple[float, float, float]
    of_one: tuple[float, float, float]
    peak_bytes: int
    """Of all runs together."""


class Work(NamedTuple):
    """What every run trains."""

    case: str
    num_batches: int
    batch: int
    device: str
    exact: bool


def made(work: Work, cohort_size: int) -> TrainOnRequest:
    """What a process trains: one run, or a cohort of so many."""
    case = CASES[work.case]
    config = run_config(case, work.batch, work.device, {} if work.exact else {"fast": True})
    splits = make_splits(case, work.num_batches * work.batch)
    if cohort_size == 1:
        return OneTrial(config.to_dict(), splits)
    return TrialsInTurns(config.to_dict(), splits, cohort_size)


@contextmanager
def both_ways(work: Work, most: int, threads: int) -> Iterator[dict[str, TrainAtOnce]]:
    """Way -> how to let so many runs train; the processes end with the block."""
    with (
        ProbeProcesses(partial(made, work, 1)) as processes,
        ProbeProcesses(partial(made, work, max(2, most))) as cohort,
    ):
        processes.grow(most)
        yield {
            PROCESSES: lambda runs: processes.train([PassRequest(1, max(1, threads // runs), 1)] * runs),
            COHORT: lambda runs: cohort.train([PassRequest(runs, threads, 1)]),
        }


def measure(
    ways: Mapping[str, TrainAtOnce], packed: Sequence[Packed], rounds: int
) -> dict[Packed, list[list[TimedPass]]]:
    """What the processes did in each round; a first round is not counted."""
    generator = random.Random(0)
    found: dict[Packed, list[list[TimedPass]]] = {one: [] for one in packed}
    for number in range(rounds + 1):
        for one in generator.sample(packed, len(packed)):
            passes = ways[one.way](one.runs)
            if number:
                found[one].append(passes)
    return found


def summary(found: Mapping[Packed, list[list[TimedPass]]], num_images: int) -> dict[Packed, Row]:
    """Images per second of so many runs together, each on `num_images`, and ratios to one run within each round."""
    speeds = {
        packed: [packed.runs * num_images / span_s(passes) for passes in rounds] for packed, rounds in found.items()
    }
    return {
        packed: Row(
            quartiles(own),
            quartiles([one / alone for one, alone in zip(own, speeds[ONE], strict=True)]),
            max(sum(one.peak_bytes for one in passes) for passes in found[packed]),
        )
        for packed, own in speeds.items()
    }


def verdict(rows: Mapping[Packed, Row], case: str, device: str) -> tuple[bool | None, str]:
    """Whether the target is met, None where it is for other hardware, and the sentence that says so."""
    wanted = f"cuda, resnet32: together at least {TARGET:g} times one at a time"
    if (case, device) != ("resnet32", "cuda"):
        return None, wanted
    packed, best = max(rows.items(), key=lambda item: item[1].of_one[1])
    low, median, high = best.of_one
    got = f"got {median:.3f} (quartiles {low:.3f} to {high:.3f}) with {packed.runs} runs, {packed.way}"
    return median >= TARGET, f"{wanted}, {got}"


def shown(rows: Mapping[Packed, Row], device: str) -> Iterator[str]:
    """Lines of a table."""
    yield f"{'runs':>6} {'way':<10} {'images/s together':>28} {'of one':>26} {'GPU memory':>12}"
    for packed, row in rows.items():
        (low, median, high), (least, ratio, most) = row.images_per_s, row.of_one
        memory = f"{row.peak_bytes / 2**20:,.0f} MiB" if device == "cuda" else "-"
        speed = f"{median:,.0f} ({low:,.0f} to {high:,.0f})"
        of_one = f"{ratio:.3f} ({least:.3f} to {most:.3f})"
        yield f"{packed.runs:>6} {packed.way:<10} {speed:>28} {of_one:>26} {memory:>12}"


def main() -> int:
    """Measure and print; the exit status."""
    parser = command_parser("benchmarks.packing", __doc__)
    parser.add_argument("--model", choices=list(CASES), default="resnet32")
    parser.add_argument("--runs", type=at_least(1), nargs="+", default=[1, 2, 4, 8], help="at once; 1 is added")
    parser.add_argument("--ways", choices=[PROCESSES, COHORT], nargs="+", default=[PROCESSES, COHORT])
    parser.add_argument("--rounds", type=at_least(2), default=7)
    parser.add_argument("--batches", type=at_least(1), default=8, help="of an epoch")
    parser.add_argument("--batch", type=at_least(1), default=128)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=at_least(1), default=CORES, help="on CPU, of all processes together")
    parser.add_argument("--exact", action="store_true", help="without options of `device`")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = sorted({1, *options.runs})
    packed = list(dict.fromkeys([ONE, *(Packed(way, count) for way in options.ways for count in runs)]))
    work = Work(options.model, options.batches, options.batch, options.device, options.exact)
    about = environment(parser.prog, gpu_names())
    print(json.dumps(about))
    try:
        with both_ways(work, max(runs), options.threads) as ways:
            rows = summary(measure(ways, packed, options.rounds), work.num_batches * work.batch)
    except ProbeProcessLost as error:
        sys.exit(f"one of {max(runs)} runs ended: {error}: try fewer --runs or a smaller --batch")
    print(*shown(rows, work.device), sep="\n")
    is_met, sentence = verdict(rows, work.case, work.device)
    print(f"{'not measured' if is_met is None else 'ok' if is_met else 'MISSED'}: {sentence}")
    if options.json:
        report = {
            "work": work._asdict(),
            "rounds": options.rounds,
            "threads": options.threads,
            "rows": [{**packed._asdict(), **row._asdict()} for packed, row in rows.items()],
            "environment": about,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if is_met is False else 0


if __name__ == "__main__":
    sys.exit(main())
