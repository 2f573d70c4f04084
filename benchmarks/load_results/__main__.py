"""Loading of a thousand trials: `analysis.load` compared with `ray.tune.ExperimentAnalysis` on the same content.

    python -m benchmarks.load_results [--trials 1000] [--epochs 200] [--rounds 5] [--json FILE]

The same trials with ten classes are stored in a run folder of absgd-tune (Parquet) and in an experiment folder of Ray
Tune (params.json and result.json of each trial, experiment_state.json, written with Ray's own classes). Sides:

- ours: `analysis.load` of the run folder;
- ours on Ray's: `analysis.load` of the experiment folder;
- Ray: `ray.tune.ExperimentAnalysis` of the experiment folder, which yields a frame for each trial.

Each load has its own process, the sides take turns, and imports are not counted; the files are in the page cache after
the first round, which is left out. Processor time, of all threads together, is the measure that other work on the
machine disturbs least. `peak` is the growth of the process's largest resident size during the load, on Linux, and
`frames` the size of the two frames by pandas; both are also measured for a quarter and a half of the trials.

Exit status: 1 if the median of ours is not under 1 s (for 1,000 trials of 200 epochs), or memory grows faster than the
frames; else 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status
from benchmarks.load_results.load_measurement import SIDES, load_once, measure_loads

TARGET_S = 1.0
MAX_PEAK_PER_FRAME = 6.0


def print_loads(found: dict[str, Any]) -> None:
    """Print the measurements as a table and lines below it."""
    print(f"{found['trials']:,} trials x {found['epochs']} epochs\n")
    print("| side | load, median (smallest to largest) | processor time | peak | frames |\n|---|---:|---:|---:|---:|")
    for side, own in found["sides"].items():
        spreads = " | ".join(_range_cell(own[key], "{:.2f}") + " s" for key in ("load_s", "cpu_s"))
        print(f"| {side} | {spreads} | {own['peak_mib']['median']:.0f} MiB | {own['frames_mib']['median']:.0f} MiB |")
    load, cpu = (_range_cell(found["ratio"][key], "{:.0f}") for key in ("load_s", "cpu_s"))
    print(f"\nRay / ours: {load} times the wall time, {cpu} times the processor time")
    print(f"on disk: {found['disk_mib']['ours']:.0f} MiB, {found['disk_mib']['Ray']:.0f} MiB")
    for row in found["memory"]:
        print(f"{row['trials']:,} trials: peak {row['peak_mib']:.0f} MiB, frames {row['frames_mib']:.0f} MiB")


def _range_cell(values: dict[str, float], form: str) -> str:
    median, low, high = (form.format(values[name]) for name in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def load_verdicts(found: dict[str, Any]) -> list[TargetVerdict]:
    """Compare the measurements with both targets."""
    median, largest = found["sides"]["ours"]["load_s"]["median"], found["memory"][-1]
    peak = largest["peak_mib"] / largest["frames_mib"]
    time_words = f"load of ours {median:.2f} s in the median, target under {TARGET_S:.0f} s"
    memory_words = f"peak memory {peak:.1f} times the frames, target under {MAX_PEAK_PER_FRAME:.0f}"
    return [TargetVerdict(median < TARGET_S, time_words), TargetVerdict(peak < MAX_PEAK_PER_FRAME, memory_words)]


def main() -> int:
    """Measure, print and write the report; return the exit status."""
    parser = command_parser("benchmarks.load_results", __doc__)
    parser.add_argument("--trials", type=at_least(1), default=1000)
    parser.add_argument("--epochs", type=at_least(1), default=200)
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(load_once(options.side, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measure_loads(Path(folder), options.trials, options.epochs, options.rounds)
    print_loads(found)
    verdicts = load_verdicts(found)
    print(*verdicts, sep="\n")
    write_json_report(options.json, {**found, "environment": report_environment(parser.prog)}, indent=1)
    return exit_status(verdicts)


if __name__ == "__main__":
    sys.exit(main())
