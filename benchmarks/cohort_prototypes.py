"""Several forks of one trunk in lockstep on one device, in different ways, against one fork at a time.

    python -m benchmarks.cohort_prototypes [--model resnet32] [--members 1 2 4 8] [--rounds 7] [--batches N]
                                           [--batch 128] [--device cuda] [--fast] [--threads 2] [--json FILE]

Each way trains K members on one resident batch: forward, ABSGD's loss, backward, SGD with momentum and weight decay.
Members have weights, lambda, gamma and abAlpha of their own.

    in turn     a model, a loss and an optimiser each, a step of each in turn; on a GPU each step is a CUDA graph that
                is replayed on a stream of its own
    stacked     one model by torch.func: stacked weights under vmap; on a GPU one graph
    fused       one model with layers that hold all members: grouped convolutions, wider batch norm; on a GPU one graph
    processes   K processes that train at the same time, threads divided among them

Float32 with contiguous tensors, or with `--fast` channels-last and, where the device has it, bfloat16 autocast. In a
round every way trains every K for N batches in an order drawn anew, the ways of one K next to each other. `images/s` is
of all members together, `of one` its ratio to one member `in turn` in the same round, `of in turn` to as many members
in turn. Shown are medians and, in brackets, quartiles, and for a GPU the memory that all members took. The first round
warms up.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not there is
`not measured`.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from absgd.errors import UserError
from absgd.training import gpu_names
from benchmarks import packing
from benchmarks.cohort_members import prepare
from benchmarks.cohort_ways import IN_TURN, Taken, Way, build_ways, member_of_a_process
from benchmarks.command_line import CORES, at_least, command_parser, environment
from benchmarks.throughput import quartiles
from benchmarks.throughput_sides import CASES
from tune_runs.preview.probe_processes import ProbeProcesses, ProbeProcessLost

Found = Mapping[int, Mapping[str, list[Taken]]]
"""Number of members -> way -> what each round took."""


class Row(NamedTuple):
    """Medians, each with quartiles: low, median, high."""

    images_per_s: tuple[float, float, float]
    of_one: tuple[float, float, float]
    of_in_turn: tuple[float, float, float]
    peak_bytes: int
    how: str


Rows = Mapping[int, Mapping[str, Row]]
"""Number of members -> way -> its row."""


def measure(ways: Mapping[int, Mapping[str, Way]], rounds: int) -> Found:
    """What every way took in every round; a first round is not counted."""
    generator = random.Random(0)
    found: dict[int, dict[str, list[Taken]]] = {count: {name: [] for name in named} for count, named in ways.items()}
    for number in range(rounds + 1):
        for count in generator.sample(list(ways), len(ways)):
            for name in generator.sample(list(ways[count]), len(ways[count])):
                taken = ways[count][name].epoch()
                if number:
                    found[count][name].append(taken)
    return found


def summary(found: Found, ways: Mapping[int, Mapping[str, Way]], num_images: int) -> Rows:
    """Images per second of all members together, each trained on `num_images`, and ratios within each round."""

    def speeds(count: int, name: str) -> list[float]:
        return [count * num_images / taken.seconds for taken in found[count][name]]

    def row(count: int, name: str) -> Row:
        own = speeds(count, name)
        one, in_turn = (
            quartiles([mine / other for mine, other in zip(own, speeds(other_count, IN_TURN), strict=True)])
            for other_count in (1, count)
        )
        peak_bytes = max(taken.peak_bytes for taken in found[count][name])
        return Row(quartiles(own), one, in_turn, peak_bytes, ways[count][name].how)

    return {count: {name: row(count, name) for name in named} for count, named in found.items()}


def verdict(rows: Rows, case: str, device: str) -> tuple[bool | None, str]:
    """As `packing.verdict`, of the best way and number of members."""
    packed = {
        packing.Packed(name, count): packing.Row(row.images_per_s, row.of_one, row.peak_bytes)
        for count, named in rows.items()
        for name, row in named.items()
    }
    return packing.verdict(packed, case, device)


def shown(rows: Rows) -> Iterator[str]:
    """Lines of a table."""
    yield f"{'members':>7} {'':<10} {'images/s together':>26} {'of one':>24} {'of in turn':>24} {'GPU memory':>12}  how"
    for count, named in rows.items():
        for name, row in named.items():
            low, median, high = row.images_per_s
            speed = f"{median:,.0f} ({low:,.0f} to {high:,.0f})"
            one, in_turn = (f"{ratio[1]:.3f} ({ratio[0]:.3f} to {ratio[2]:.3f})" for ratio in row[1:3])
            memory = f"{row.peak_bytes / 2**20:,.0f} MiB" if row.peak_bytes else "-"
            yield f"{count:>7} {name:<10} {speed:>26} {one:>24} {in_turn:>24} {memory:>12}  {row.how}"


def main() -> int:
    """Measure and print; the exit status."""
    parser = command_parser("benchmarks.cohort_prototypes", __doc__)
    parser.add_argument("--model", choices=list(CASES), default="resnet32")
    parser.add_argument("--members", type=at_least(1), nargs="+", default=[1, 2, 4, 8], help="in lockstep; 1 is added")
    parser.add_argument("--rounds", type=at_least(2), default=7)
    parser.add_argument("--batches", type=at_least(1), help="of an epoch; default: 2 on CPU, 100 on a GPU")
    parser.add_argument("--batch", type=at_least(1), default=128)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--fast", action="store_true", help="channels-last, and bfloat16 where the device has it")
    parser.add_argument("--threads", type=at_least(1), default=CORES)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    counts = sorted({1, *options.members})
    num_batches = options.batches or (100 if options.device == "cuda" else 2)
    work = packing.Work(options.model, num_batches, options.batch, options.device, exact=not options.fast)
    torch.set_num_threads(options.threads)
    try:
        shared = prepare(work)
    except UserError as error:
        parser.error(str(error))
    about = environment(parser.prog, gpu_names())
    print(json.dumps(about))
    try:
        with ProbeProcesses(partial(member_of_a_process, work)) as processes:
            processes.grow(max(counts))
            ways = build_ways(shared, counts, processes)
            rows = summary(measure(ways, options.rounds), ways, work.num_batches * work.batch)
    except ProbeProcessLost as error:
        sys.exit(f"one of {max(counts)} processes: {error}: try fewer --members or a smaller --batch")
    print(f"{CASES[work.case].name}, batch {work.batch}, {options.rounds} rounds of {work.num_batches} batches")
    print(f"{shared.speed.precision}, {shared.speed.memory_format}")
    print(*shown(rows), sep="\n")
    is_met, sentence = verdict(rows, work.case, work.device)
    print(f"{'not measured' if is_met is None else 'ok' if is_met else 'MISSED'}: {sentence}")
    if options.json:
        found = {str(count): {name: row._asdict() for name, row in named.items()} for count, named in rows.items()}
        report = {
            "work": work._asdict(),
            "precision": shared.speed.precision,
            "memory_format": shared.speed.memory_format,
            "threads": options.threads,
            "rounds": options.rounds,
            "rows": found,
            "environment": about,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if is_met is False else 0


if __name__ == "__main__":
    sys.exit(main())
