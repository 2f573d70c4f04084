"""Faults injected into real searches, and how many of each were survived.

    python -m benchmarks.faults [--kills 30] [--damages 3] [--seed 0] [--only KIND ...] [--json FILE]

A fault is survived when the search ends, gone on with where it had to be, with the same trials, epochs and study as one
that was never attacked, but for clocks; a trial that runs out of memory, or a trainable that always fails, when it
ends as docs/reliability.md says. One trial trains at a time, so that the order of trials is the same too. Nothing is
simulated: processes are killed, files damaged, a small file system is filled. Moments and places are drawn from the
seed; how far a search has come by then is up to the machine.

Ends with status 1 where a fault was not survived.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.command_line import at_least, command_parser, environment
from benchmarks.faults.cluster import lost_heads, lost_nodes
from benchmarks.faults.disk import damaged_checkpoints, full_disks
from benchmarks.faults.errors import always_failing, clock_set_back, out_of_memory
from benchmarks.faults.kills import killed_drivers, killed_workers
from benchmarks.faults.outcome import HEAD, Outcome
from benchmarks.faults.search import Attacked, faults_space

KINDS = ("drivers", "workers", "checkpoints", "disks", "errors", "clock", "nodes", "heads")


def options_parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = command_parser("benchmarks.faults", __doc__)
    parser.add_argument("--kills", type=at_least(1), default=30, help="of drivers, and of workers")
    parser.add_argument("--damages", type=at_least(1), default=3, help="of each other kind")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", type=Path)
    return parser


def undisturbed(folder: Path) -> tuple[Attacked, float]:
    """A search that is never attacked, and the seconds that it takes."""
    search = Attacked(faults_space(), folder / "whole")
    started = time.monotonic()
    assert search.finish() == 0, search.printed
    return search, time.monotonic() - started


def outcomes(options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """Inject what is asked for, printing each outcome as soon as it is known."""
    whole, whole_s = undisturbed(folder)
    print(f"undisturbed: {whole_s:.0f} s\n\n{HEAD}", flush=True)

    def source(kind: str) -> random.Random:
        return random.Random(f"{options.seed} {kind}")

    kills, damages = options.kills, options.damages
    injections: dict[str, Callable[[], Sequence[Outcome]]] = {
        "drivers": lambda: [killed_drivers(kills, source("drivers"), folder, whole, whole_s)],
        "workers": lambda: [killed_workers(kills, source("workers"), folder, whole)],
        "checkpoints": lambda: damaged_checkpoints(damages, source("checkpoints"), folder, whole),
        "disks": lambda: full_disks(damages, source("disks"), folder, whole),
        "errors": lambda: [out_of_memory(folder), always_failing(folder)],
        "clock": lambda: [clock_set_back(folder, whole)],
        "nodes": lambda: lost_nodes(damages, folder),
        "heads": lambda: lost_heads(damages, folder),
    }
    found: list[Outcome] = []
    for kind in options.only:
        for outcome in injections[kind]():
            print(outcome, flush=True)
            found.append(outcome)
        if options.json:
            write_report(options.json, options.seed, found)
    return found


def write_report(path: Path, seed: int, found: Sequence[Outcome]) -> None:
    """What is known by now, so that an end of this program loses nothing."""
    report = {
        "outcomes": [dataclasses.asdict(one) for one in found],
        "seed": seed,
        "environment": environment(options_parser().prog),
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    """Inject and print."""
    options = options_parser().parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = outcomes(options, Path(folder))
    if any(one.survived < one.injected for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
