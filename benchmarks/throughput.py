"""Images per second of a run, against the pipeline that users write and against what the hardware allows.

    python -m benchmarks.throughput [--models resnet32 resnet8] [--rounds 7] [--batches N] [--batch 128]
                                    [--device cpu] [--threads 2] [--workers 0 2] [--json FILE]

Rows, all in one process, each with a model of its own on the same made-up uint8 images:

    peer, N workers   torchvision transforms in a DataLoader, eager float32; an evaluation pass over the training set
                      every epoch
    ours, exact       a Trainer as it is without options
    ours, ...         with options of `device`, each added in turn; the last is `device.fast: true`
    bound, ...        forward + backward + optimiser on one resident batch, of the same precision and memory format
    batches alone     our batches made, augmented and thrown away

A round trains an epoch of every row in an order drawn anew, a run next to its bound. Ratios are those of one round, so
that what else the machine does falls on both sides. The first round warms up. `train` counts the training pass alone,
`epoch` the whole epoch with every evaluation that belongs to it. `of peer` is by whole epochs, against the peer with
the faster number of workers; `of bound` by training passes. Shown are medians and, in brackets, quartiles.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not there is
`not measured`.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch

from absgd.training import gpu_names
from benchmarks.command_line import CORES, at_least, command_parser, environment, without_folders
from benchmarks.throughput_sides import (
    CASES,
    BatchesAlone,
    Bound,
    Case,
    Ours,
    Peer,
    Seconds,
    Side,
    make_splits,
    run_config,
)

EXACT, FAST = "exact", "fast"
OPTIONS: Mapping[str, Mapping[str, dict[str, Any]]] = {
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
"""Row -> options of `device`, each row with one more than the row before."""


class Target(NamedTuple):
    """At least so much of a ratio, on one kind of device."""

    device: str
    row: str
    ratio: str
    least: float


TARGETS = (
    Target("cpu", EXACT, "of_bound", 0.95),
    Target("cpu", FAST, "of_bound", 0.95),
    Target("cpu", EXACT, "of_peer", 1.2),
    Target("cuda", FAST, "of_peer", 5.0),
    Target("cuda", FAST, "of_bound", 0.8),
)


class Row(NamedTuple):
    """Medians, each with quartiles: low, median, high."""

    train_images_per_s: tuple[float, float, float]
    epoch_images_per_s: tuple[float, float, float]
    of_peer: tuple[float, float, float] | None
    of_bound: tuple[float, float, float] | None


def build_sides(case: Case, options: Any, device: torch.device) -> dict[str, Side]:
    """Every row of a case by name."""
    num_images = options.batches * options.batch
    splits = make_splits(case, num_images)
    exact = run_config(case, options.batch, device.type, {})
    sides: dict[str, Side] = {
        f"peer, {workers} workers": Peer(exact, splits, workers, device) for workers in options.workers
    }
    for name, values in OPTIONS[device.type].items():
        config = run_config(case, options.batch, device.type, values)
        sides[f"ours, {name}"] = Ours(config, splits)
        with users_cudnn():  # a captured graph keeps the kernels of its capture
            sides[f"bound, {name}"] = Bound(config, num_images, device)
    sides["batches alone"] = BatchesAlone(exact, splits, device)
    return sides


def measure(sides: Mapping[str, Side], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds of an epoch of each side in each round, a run next to its bound; a first round is not counted."""
    generator = random.Random(0)
    pairs = [[name for name in sides if _option(name) == option] for option in dict.fromkeys(map(_option, sides))]
    seconds: dict[str, list[Seconds]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        generator.shuffle(pairs)
        for pair in pairs:
            generator.shuffle(pair)
            for name in pair:
                # A Trainer sets cuDNN's switches for the whole process; peer and bound have those that users have.
                with nullcontext() if isinstance(sides[name], Ours) else users_cudnn():
                    taken = sides[name].epoch()
                if number:
                    seconds[name].append(taken)
    return seconds


def users_cudnn() -> AbstractContextManager[object]:
    """The fastest convolutions, whether or not they give the same result each time."""
    return torch.backends.cudnn.flags(deterministic=False, benchmark=True)


def _option(name: str) -> str:
    return name.partition(", ")[2]


def summary(seconds: Mapping[str, list[Seconds]], num_images: int) -> dict[str, Row]:
    """Images per second, and ratios within each round: of the faster peer's epoch, and of a run's own bound."""
    peers = [name for name in seconds if name.startswith("peer")]
    peer = min(peers, key=lambda name: statistics.median(one.whole for one in seconds[name]))
    rows = {}
    for name, taken in seconds.items():
        kind = name.partition(", ")[0]
        bound = seconds.get(f"bound, {_option(name)}") if kind == "ours" else None
        rows[name] = Row(
            quartiles([num_images / one.train for one in taken]),
            quartiles([num_images / one.whole for one in taken]),
            None if kind not in ("ours", "peer") else _ratios(seconds[peer], taken, "whole"),
            None if bound is None else _ratios(bound, taken, "train"),
        )
    return rows


def _ratios(others: list[Seconds], mine: list[Seconds], part: str) -> tuple[float, float, float]:
    return quartiles([getattr(other, part) / getattr(one, part) for other, one in zip(others, mine, strict=True)])


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile.

    >>> quartiles([1.0, 2.0, 3.0])
    (1.0, 2.0, 3.0)
    """
    low, median, high = statistics.quantiles(values, n=4)
    return low, median, high


def verdicts(rows: Mapping[str, Row], device: str) -> Iterator[tuple[bool | None, str]]:
    """Whether each target is met, None where it is for other hardware, and the sentence that says so."""
    for target in TARGETS:
        wanted = f"{target.device}, {target.row}: {target.ratio.replace('_', ' ')} at least {target.least:g}"
        if target.device != device:
            yield None, wanted
            continue
        low, median, high = getattr(rows[f"ours, {target.row}"], target.ratio)
        yield median >= target.least, f"{wanted}, got {median:.3f} (quartiles {low:.3f} to {high:.3f})"


def shown(rows: Mapping[str, Row]) -> Iterator[str]:
    """Lines of a table."""
    yield f"{'':>24} {'train, images/s':>26} {'epoch, images/s':>26} {'of peer':>24} {'of bound':>24}"
    for name, row in rows.items():
        cells = [f"{median:.0f} ({low:.0f} to {high:.0f})" for low, median, high in row[:2]]
        cells += ["" if one is None else f"{one[1]:.3f} ({one[0]:.3f} to {one[2]:.3f})" for one in row[2:]]
        yield f"{name:>24} {cells[0]:>26} {cells[1]:>26} {cells[2]:>24} {cells[3]:>24}"


def main() -> int:
    """Measure and print; the exit status."""
    parser = command_parser("benchmarks.throughput", __doc__)
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=at_least(2), default=7)
    parser.add_argument("--batches", type=at_least(1), help="of an epoch; default: 8 on CPU, 390 on a GPU")
    parser.add_argument("--batch", type=at_least(1), default=128)
    parser.add_argument("--device", choices=list(OPTIONS), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=at_least(1), default=CORES)
    parser.add_argument("--workers", type=at_least(0), nargs="+", default=[0, 2], help="of the peer's DataLoader")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.batches is None:
        options.batches = 390 if options.device == "cuda" else 8
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    about = environment(parser.prog, gpu_names())
    print(json.dumps(about))
    tables, missed = {}, False
    for key in options.models:
        sides = build_sides(CASES[key], options, device)
        rows = summary(measure(sides, options.rounds), options.batches * options.batch)
        ways = {name: side.trainer.device_options.describe() for name, side in sides.items() if isinstance(side, Ours)}
        print(f"\n{CASES[key].name}, batch {options.batch}, {options.rounds} rounds of {options.batches} batches")
        print("\n".join([*shown(rows), *(f"{name}: {way}" for name, way in ways.items())]))
        results = list(verdicts(rows, device.type))
        for holds, sentence in results:
            print(f"{'not measured' if holds is None else 'ok' if holds else 'MISSED'}: {sentence}")
        missed |= any(holds is False for holds, _ in results)
        tables[key] = {
            "rows": {name: row._asdict() for name, row in rows.items()},
            "ways": ways,
            "verdicts": [{"holds": holds, "what": sentence} for holds, sentence in results],
        }
    if options.json:
        given = {name: without_folders(str(value)) for name, value in vars(options).items()}
        report = {"tables": tables, "environment": about, "options": given}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
