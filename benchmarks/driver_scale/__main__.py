"""The driver of a search as it grows: its time for each report and each end of a trial, its memory, and a resume.

    python -m benchmarks.driver_scale [--trials 128 1024 10240] [--epochs 200] [--concurrent 64] [--json FILE]

Nothing is trained: the real driver is told what pretended trials report, ten classes each. A search of 64 trials runs
to its end; its folder is cloned into ones of many trials, and each of these is resumed, in a process of its own, to
train as many trials more as train at the same time. Columns:

- resume: seconds until the driver has read the records and the study;
- report, end: milliseconds of the driver for a report of an epoch, and for the end of a trial, median and mean; the
  means hold the times in which the tables are replaced;
- ask: milliseconds to draw a trial, most of them Optuna's, which looks at all trials before it;
- reports a second: that one driver takes, ends of trials included and draws left out;
- memory: growth of the resident size while the records are read, for each row of epochs.

Exit status: 1 if a target is missed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.driver_scale.cloned_folder import clone_trials
from benchmarks.driver_scale.pretend_search import PretendSearch, pretend_space
from benchmarks.driver_scale.resumed_search import measure_resume
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status

_BASE = 64
"""Trials of the search that is cloned."""
GROWTH = 1.3
REPORTS_PER_S = 256
BYTES_PER_ROW = 2048
RESUME_S = 60.0


def scale_table(rows: list[dict[str, Any]]) -> str:
    """Return the measurements as a Markdown table."""
    lines = [
        "| trials | epoch rows | resume | report, median (mean) | end | ask | reports a second | memory of a row |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        times = " | ".join(
            f"{row[name]['median']:.2f} ({row[name]['mean']:.2f}) ms" for name in ("report", "end", "ask")
        )
        lines.append(
            f"| {row['trials']:,} | {row['epoch_rows']:,} | {row['resume_s']:.1f} s | {times} | "
            f"{row['reports_per_s']:.0f} | {row['bytes_per_row']:,.0f} B |"
        )
    return "\n".join(lines)


def scale_verdicts(rows: list[dict[str, Any]]) -> list[TargetVerdict]:
    """Compare the measurements with the targets."""
    first, last = rows[0], rows[-1]
    size = f"from {first['trials']:,} to {last['trials']:,} trials"
    found = []
    for name in ("report", "end"):
        growth = last[name]["median"] / first[name]["median"]
        found.append(
            TargetVerdict(growth <= GROWTH, f"time of each {name} grows {growth:.2f} times {size}, at most {GROWTH}")
        )
    reports, memory = last["reports_per_s"], last["bytes_per_row"]
    return [
        *found,
        TargetVerdict(reports >= REPORTS_PER_S, f"{reports:.0f} reports a second, at least {REPORTS_PER_S}"),
        TargetVerdict(memory < BYTES_PER_ROW, f"{memory:,.0f} bytes a row of epochs, under {BYTES_PER_ROW:,}"),
        TargetVerdict(last["resume_s"] < RESUME_S, f"resume in {last['resume_s']:.1f} s, under {RESUME_S:.0f} s"),
    ]


def main() -> int:
    """Measure, print and write the report; return the exit status."""
    parser = command_parser("benchmarks.driver_scale", __doc__)
    parser.add_argument(
        "--trials", type=at_least(_BASE), nargs="+", default=[128, 1024, 10_240], help="multiples of 64"
    )
    parser.add_argument("--epochs", type=at_least(5), default=200)
    parser.add_argument("--concurrent", type=at_least(1), default=_BASE)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="folder with a clone to resume; for internal use")
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure_resume(options.folder, options.trials[0], options.epochs, options.concurrent)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        PretendSearch(pretend_space(_BASE, options.epochs), base, options.concurrent).run()
        rows = []
        for trials in options.trials:
            folder = Path(scratch) / f"of-{trials}"
            clone_trials(base, folder, trials)
            rows.append(_in_own_process(folder, trials, options.epochs, options.concurrent))
    print(scale_table(rows))
    verdicts = scale_verdicts(rows)
    print(*verdicts, sep="\n")
    write_json_report(options.json, {"sizes": rows, "environment": report_environment(parser.prog)}, indent=1)
    return exit_status(verdicts)


def _in_own_process(folder: Path, trials: int, epochs: int, concurrent: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.driver_scale", "--folder", str(folder), "--trials", str(trials)]
    words += ["--epochs", str(epochs), "--concurrent", str(concurrent)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


if __name__ == "__main__":
    sys.exit(main())
