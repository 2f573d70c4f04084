"""Several runs on one device at once: what they train together, against one run at a time.

    python -m benchmarks.packing [--model resnet32] [--runs 1 2 4 8] [--rounds 7] [--batches 8] [--batch 128]
                                 [--device cuda] [--exact] [--json FILE]

As many processes as the largest of `--runs` each hold a run of their own, with `device.fast: true` unless `--exact`.
In a round the first K of them train one epoch at the same time, for every K in an order drawn anew; `images/s` is what
they trained together from the first start to the last end, `of one` its ratio to that of K = 1 in the same round.
Shown are medians and, in brackets, quartiles, and for a GPU the largest memory that one run took. The first round
warms up. On CPU each process has one thread.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not there is
`not measured`.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from absgd.training import gpu_names
from benchmarks.command_line import at_least, command_parser, environment
from benchmarks.throughput import quartiles
from benchmarks.throughput_sides import CASES, Ours, make_splits, run_config
from tune_runs.side_by_side import Pass, Processes, RunLost, images_per_s, peak_bytes

TARGET = 4.0
"""Of the most that any number of runs trains together, over one at a time, for ResNet-32 on a data-centre GPU."""


class Row(NamedTuple):
    """Medians, each with quartiles: low, median, high."""

    images_per_s: tuple[float, float, float]
    of_one: tuple[float, float, float]
    peak_bytes: int


class Work(NamedTuple):
    """What every process trains."""

    case: str
    num_batches: int
    batch: int
    device: str
    exact: bool


def packed_run(work: Work) -> Callable[[object], int]:
    """What a process trains: an epoch each time it is asked."""
    torch.set_num_threads(1)
    case = CASES[work.case]
    options = {} if work.exact else {"fast": True}
    run = Ours(run_config(case, work.batch, work.device, options), make_splits(case, work.num_batches * work.batch))

    def train(_: object) -> int:
        run.epoch()
        return peak_bytes(run.trainer.device) if work.device == "cuda" else 0

    return train


def measure(processes: Processes, runs: Sequence[int], rounds: int) -> dict[int, list[list[Pass]]]:
    """Number of runs -> what each of them did in each round; a first round is not counted."""
    generator = random.Random(0)
    found: dict[int, list[list[Pass]]] = {count: [] for count in sorted(runs)}
    processes.grow(max(runs))
    for number in range(rounds + 1):
        for count in generator.sample(sorted(runs), len(runs)):
            passes = processes.train(["epoch"] * count)
            if number:
                found[count].append(passes)
    return found


def summary(found: Mapping[int, list[list[Pass]]], num_images: int) -> dict[int, Row]:
    """Images per second of so many runs together, and ratios to one run within each round."""
    speeds = {count: [images_per_s(passes, num_images) for passes in rounds] for count, rounds in found.items()}
    return {
        count: Row(
            quartiles(own),
            quartiles([one / alone for one, alone in zip(own, speeds[1], strict=True)]),
            max(one.peak_bytes for passes in found[count] for one in passes),
        )
        for count, own in speeds.items()
    }


def verdict(rows: Mapping[int, Row], case: str, device: str) -> tuple[bool | None, str]:
    """Whether the target is met, None where it is for other hardware, and the sentence that says so."""
    wanted = f"cuda, resnet32: together at least {TARGET:g} times one at a time"
    if (case, device) != ("resnet32", "cuda"):
        return None, wanted
    count, best = max(rows.items(), key=lambda item: item[1].of_one[1])
    low, median, high = best.of_one
    return median >= TARGET, f"{wanted}, got {median:.3f} (quartiles {low:.3f} to {high:.3f}) with {count} runs"


def shown(rows: Mapping[int, Row]) -> Iterator[str]:
    """Lines of a table."""
    yield f"{'runs':>6} {'images/s together':>28} {'of one':>26} {'GPU memory of one':>18}"
    for count, row in rows.items():
        (low, median, high), (least, ratio, most) = row.images_per_s, row.of_one
        memory = f"{row.peak_bytes / 2**20:,.0f} MiB" if row.peak_bytes else "-"
        speed = f"{median:,.0f} ({low:,.0f} to {high:,.0f})"
        yield f"{count:>6} {speed:>28} {f'{ratio:.3f} ({least:.3f} to {most:.3f})':>26} {memory:>18}"


def main() -> int:
    """Measure and print; the exit status."""
    parser = command_parser("benchmarks.packing", __doc__)
    parser.add_argument("--model", choices=list(CASES), default="resnet32")
    parser.add_argument("--runs", type=at_least(1), nargs="+", default=[1, 2, 4, 8], help="at once; 1 is added")
    parser.add_argument("--rounds", type=at_least(2), default=7)
    parser.add_argument("--batches", type=at_least(1), default=8, help="of an epoch")
    parser.add_argument("--batch", type=at_least(1), default=128)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--exact", action="store_true", help="without options of `device`")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = sorted({1, *options.runs})
    work = Work(options.model, options.batches, options.batch, options.device, options.exact)
    about = environment(parser.prog, gpu_names())
    print(json.dumps(about))
    try:
        with Processes(partial(packed_run, work)) as processes:
            rows = summary(measure(processes, runs, options.rounds), work.num_batches * work.batch)
    except RunLost as error:
        sys.exit(f"one of {max(runs)} runs ended: {error}: try fewer --runs or a smaller --batch")
    print(*shown(rows), sep="\n")
    is_met, sentence = verdict(rows, work.case, work.device)
    print(f"{'not measured' if is_met is None else 'ok' if is_met else 'MISSED'}: {sentence}")
    if options.json:
        found = {str(count): row._asdict() for count, row in rows.items()}
        report = {"work": work._asdict(), "rounds": options.rounds, "rows": found, "environment": about}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if is_met is False else 0


if __name__ == "__main__":
    sys.exit(main())
