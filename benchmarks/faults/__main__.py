"""Faults injected into real searches, and how many of each kind the search survives.

    python -m benchmarks.faults [--kills 30] [--damages 3] [--seed 0] [--only KIND ...] [--json FILE]

A search survives a fault when it ends, resumed where necessary, with the same trials, epochs and study as a search
that was never attacked, clocks aside; it survives a trial that runs out of memory, or a trainable that always fails,
when it ends as docs/reliability.md says. One trial trains at a time, so that the order of trials is the same too.
Nothing is simulated: processes are killed, files damaged, a small file system is filled. Moments and places are drawn
from the seed; how far a search has got by then depends on the machine.

Exit status: 1 if a fault was not survived; 2 if the command line is wrong; else 0.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.faults.attacked_search import AttackedSearch, faults_space
from benchmarks.faults.cluster_faults import lost_heads, lost_nodes
from benchmarks.faults.disk_faults import damaged_checkpoints, full_disks
from benchmarks.faults.fault_outcome import HEAD, FaultOutcome
from benchmarks.faults.process_kills import killed_drivers, killed_workers
from benchmarks.faults.trial_faults import always_failing, clock_set_back, out_of_memory
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report

KINDS = ("drivers", "workers", "checkpoints", "disks", "errors", "clock", "nodes", "heads")


def faults_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.faults", __doc__)
    parser.add_argument("--kills", type=at_least(1), default=30, help="kills of drivers, and of workers")
    parser.add_argument("--damages", type=at_least(1), default=3, help="faults of each other kind")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", type=Path)
    return parser


def undisturbed(folder: Path) -> tuple[AttackedSearch, float]:
    """Run a search that is never attacked; return it with its duration in seconds."""
    search = AttackedSearch(faults_space(), folder / "whole")
    started = time.monotonic()
    assert search.finish() == 0, search.printed
    return search, time.monotonic() - started


def inject_faults(options: argparse.Namespace, folder: Path) -> list[FaultOutcome]:
    """Inject the requested faults, and print each outcome as soon as it is known."""
    whole, whole_s = undisturbed(folder)
    print(f"undisturbed: {whole_s:.0f} s\n\n{HEAD}", flush=True)

    def source(kind: str) -> random.Random:
        return random.Random(f"{options.seed} {kind}")

    kills, damages = options.kills, options.damages
    injections: dict[str, Callable[[], Sequence[FaultOutcome]]] = {
        "drivers": lambda: [killed_drivers(kills, source("drivers"), folder, whole, whole_s)],
        "workers": lambda: [killed_workers(kills, source("workers"), folder, whole)],
        "checkpoints": lambda: damaged_checkpoints(damages, source("checkpoints"), folder, whole),
        "disks": lambda: full_disks(damages, source("disks"), folder, whole),
        "errors": lambda: [out_of_memory(folder), always_failing(folder)],
        "clock": lambda: [clock_set_back(folder, whole)],
        "nodes": lambda: lost_nodes(damages, folder),
        "heads": lambda: lost_heads(damages, folder),
    }
    found: list[FaultOutcome] = []
    for kind in options.only:
        for outcome in injections[kind]():
            print(outcome, flush=True)
            found.append(outcome)
        write_fault_report(options.json, options.seed, found)
    return found


def write_fault_report(path: Path | None, seed: int, found: Sequence[FaultOutcome]) -> None:
    """Write the outcomes known so far, so that an interruption of this program loses nothing."""
    report = {
        "outcomes": [dataclasses.asdict(one) for one in found],
        "seed": seed,
        "environment": report_environment(faults_parser().prog),
    }
    write_json_report(path, report)


def main() -> None:
    """Inject and print; exit with status 1 where a fault was not survived."""
    options = faults_parser().parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = inject_faults(options, Path(folder))
    if any(one.survived < one.injected for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
