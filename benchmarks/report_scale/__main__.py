"""Time that a report of many scenarios takes: the loading of their run folder, and the HTML page.

    python -m benchmarks.report_scale [--scenarios 10 120] [--rounds 3] [--json FILE]

Each scenario of the made-up run folders has a control, 16 search trials and a confirmation of two configurations and
four controls on five fresh seed pairs, with ten epochs each. Imports and a first report of one scenario are left out.
Processor time, which other work on the machine disturbs least, is compared with the target; the page without plotly.js
is what grows with the scenarios.

Exit status: 1 if 120 scenarios are loaded and reported in more than 10 s of processor time in the median; else 0.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from analysis import load
from analysis.report.html_report import report_html
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status
from benchmarks.report_scale.many_scenarios import write_scenarios

TARGET_SCENARIOS, TARGET_S = 120, 10.0


def measure_report(folder: Path) -> dict[str, float]:
    """Load and report a run folder; return seconds, and the size of the page without plotly.js in KiB."""
    wall, started = time.perf_counter(), time.process_time()
    runs = load(folder)
    loaded = time.process_time()
    page = report_html(runs)
    ended = time.process_time()
    return {
        "load_cpu_s": loaded - started,
        "report_cpu_s": ended - loaded,
        "wall_s": time.perf_counter() - wall,
        "page_kib": (len(page.encode()) - len(get_plotlyjs().encode())) / 1024,
    }


def measure_reports(folder: Path, numbers: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Return the measurements of each number of scenarios, which take turns."""
    measure_report(write_scenarios(folder / "first", 1))
    paths = {number: write_scenarios(folder / str(number), number) for number in numbers}
    found: dict[int, list[dict[str, float]]] = {number: [] for number in paths}
    for _ in range(rounds):
        for number, path in paths.items():
            found[number].append(measure_report(path))
    return [{"scenarios": number, "rounds": own} for number, own in found.items()]


def median(row: dict[str, Any], name: str) -> float:
    """Return the median of a measurement over the rounds."""
    return float(statistics.median(one[name] for one in row["rounds"]))


def scale_verdicts(rows: Sequence[dict[str, Any]]) -> list[TargetVerdict]:
    """Compare the processor time of 120 scenarios with the target."""
    words = f"load and report of {TARGET_SCENARIOS} scenarios in at most {TARGET_S:.0f} s of processor time"
    own = [row for row in rows if row["scenarios"] == TARGET_SCENARIOS]
    if not own:
        return [TargetVerdict(None, words)]
    seconds = median(own[0], "load_cpu_s") + median(own[0], "report_cpu_s")
    return [TargetVerdict(seconds <= TARGET_S, f"{words}, took {seconds:.1f} s")]


def print_reports(rows: Sequence[dict[str, Any]]) -> None:
    """Print the medians as a table."""
    print("| scenarios | load, processor | report, processor | of a scenario | both, wall | page without plotly.js |")
    print("|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        names = ("load_cpu_s", "report_cpu_s", "wall_s", "page_kib")
        load_s, report_s, wall_s, page = (median(row, name) for name in names)
        each = (load_s + report_s) / row["scenarios"]
        line = f"{load_s:.2f} s | {report_s:.2f} s | {1000 * each:.0f} ms | {wall_s:.2f} s | {page:,.0f} KiB"
        print(f"| {row['scenarios']} | {line} |")


def main() -> int:
    """Measure, print and write; return the exit status."""
    parser = command_parser("benchmarks.report_scale", __doc__)
    parser.add_argument("--scenarios", type=at_least(1), nargs="+", default=[10, TARGET_SCENARIOS])
    parser.add_argument("--rounds", type=at_least(1), default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_reports(Path(folder), options.scenarios, options.rounds)
    print_reports(rows)
    verdicts = scale_verdicts(rows)
    print(*verdicts, sep="\n")
    write_json_report(options.json, {"reports": rows, "environment": report_environment(parser.prog)})
    return exit_status(verdicts)


if __name__ == "__main__":
    sys.exit(main())
