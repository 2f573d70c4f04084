r"""Cost of a search with `absgd-tune`, compared with a plain Ray Tune script over the same configurations.

    python -m benchmarks.search_cost [--cases ...] [--trials 8 32] [--scenarios 1 2] [--repeats 3] [--json FILE]
    python -m benchmarks.search_cost --cases off-long --trials 32 --scenarios 2 --plain-repeats 0 --count --forks 0 \
        --quickstart 0

A case says where trials switch (`range`: at 60 to 80 % of the epochs; `fixed`: at 80 %; `long`: as `range` with a
larger network; `fashion`: at 50 to 80 %, on Fashion-MNIST instead of digits; these two only on request) and whether
trials are stopped early, on both sides or on neither. Both sides try the same random configurations with one thread
each. The plain side, `search_cost.plain_script`, trains every trial from scratch in its own process; with stopping it
runs once under each peer of `benchmarks.complete_curves.plain_asha`. The command `absgd-tune` gets the configurations
as enqueued points and uses its default rule. Each side starts in a new process, and its wall time counts that process
from start to end. The tables have, for each case and peer:

- epochs trained by either side, and whether ours without stopping are exactly trunk + sum of (epochs - switch) + the
  control's rest;
- best: value at the last epoch of each side's best trial that trained it, in points, mean over scenarios; regret: the
  points that stopping costs ours;
- same: trials whose validation metrics are equal, bit for bit, in all epochs that both sides trained, the number of
  these epochs after the switch, and the number of these curves that are complete. If a trial differs, the exit status
  is 1;
- wall time of each side; ideal: our epochs at the speed of a bare loop over Trainer, one on each core at the same time,
  measured before each run; path: the least time of these epochs when forks wait for their trunk (critical path);
- start: of the process and Ray, until the first trial is handed over; worker: that trial without its epochs, with what
  its worker still imports; end: after the last trial; besides: other trials without their epochs, and how many of them
  took a second or more, which means that they waited for a process.

Then follow the quickstart with its confirmation and report (`search_cost.quickstart_cost`), searches counted by replay
(`search_cost.replayed_costs`), a trial's fixed cost (`search_cost.fixed_cost`), and every target, met or missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.complete_curves.plain_asha import ASHA_CLOCKS
from benchmarks.harness.command_line import CORES, at_least, command_parser, report_environment, write_json_report
from benchmarks.search_cost.bare_loop import BareLoop
from benchmarks.search_cost.case_results import CaseResult, measure_case
from benchmarks.search_cost.cost_tables import epoch_table, replay_table, wall_table
from benchmarks.search_cost.cost_targets import cost_verdicts
from benchmarks.search_cost.fixed_cost import LEAST_FORKS, TrialOverhead, measure_overhead
from benchmarks.search_cost.quickstart_cost import (
    QuickstartRepeat,
    measure_quickstart,
    quickstart_lines,
    quickstart_verdicts,
)
from benchmarks.search_cost.replayed_costs import SEARCH_COST_CURVES, SIZES, ReplayedCost, replay_all_kinds
from benchmarks.search_cost.search_cases import CASES, LONG_CASES, search_cases


def search_cost_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.search_cost", __doc__)
    every_case = (*CASES, *LONG_CASES)
    parser.add_argument(
        "--cases", nargs="*", choices=every_case, default=list(CASES), help=", ".join(every_case), metavar="CASE"
    )
    parser.add_argument("--trials", type=at_least(1), nargs="+", default=[8, 32], help="trials of the searches to run")
    parser.add_argument("--scenarios", type=int, nargs="+", choices=(1, 2), default=[1])
    parser.add_argument("--repeats", type=at_least(1), default=3, help="repeats of absgd-tune")
    parser.add_argument("--plain-repeats", type=at_least(0), default=1, help="repeats of the plain script; 0: not run")
    parser.add_argument("--clocks", nargs="+", choices=ASHA_CLOCKS, default=list(ASHA_CLOCKS), help="of its ASHA")
    parser.add_argument(
        "--count", type=at_least(1), nargs="*", default=list(SIZES), help="trials of the searches to replay"
    )
    parser.add_argument("--seeds", type=at_least(1), default=3, help="seeds of the complete curves")
    parser.add_argument("--orders", type=at_least(2), default=30, help="orders of arrival for each seed")
    parser.add_argument("--curves", type=Path, default=SEARCH_COST_CURVES, help="folder of the complete curves")
    parser.add_argument("--forks", type=at_least(0), default=40, help="forks whose fixed cost is measured; 0: none")
    parser.add_argument("--quickstart", type=at_least(0), default=5, help="repeats of the quickstart; 0: not run")
    parser.add_argument("--json", type=Path)
    return parser


def asked_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = search_cost_parser()
    options = parser.parse_args(words)
    if 0 < options.forks < LEAST_FORKS:
        parser.error(f"argument --forks: expected 0 or at least {LEAST_FORKS} on {CORES} cores, got {options.forks}")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"argument --json: expected a file in an existing folder, got {options.json}")
    return options


def measure_cases(options: argparse.Namespace, loop: BareLoop) -> list[CaseResult]:
    """Measure every case, and print its rows as soon as it is measured."""
    measured = list[CaseResult]()
    for case in search_cases(options.cases, options.trials, options.scenarios):
        measured.append(measure_case(case, loop, options.repeats, options.plain_repeats, options.clocks))
        for lines in (epoch_table(measured[-1:], measured), wall_table(measured[-1:])):
            print(*itertools.islice(lines, 2, None), sep="\n", flush=True)
    return measured


def print_all(
    measured: Sequence[CaseResult],
    quickstart: Sequence[QuickstartRepeat],
    counted: Sequence[ReplayedCost],
    fixed_cost: TrialOverhead | None,
) -> None:
    """Print the tables of all measurements, then the verdicts."""
    parts = [epoch_table(measured, measured), wall_table(measured)] if measured else []
    parts += [quickstart_lines(quickstart)] if quickstart else []
    parts += [replay_table(counted)] if counted else []
    parts += [fixed_cost.lines()] if fixed_cost else []
    verdicts = [*cost_verdicts(measured, counted), *(quickstart_verdicts(quickstart) if quickstart else [])]
    for lines in (*parts, map(str, verdicts)):
        print("", *lines, sep="\n")


def main() -> None:
    """Measure, replay, print and write the report."""
    options = asked_options()
    loop = BareLoop()
    measured = measure_cases(options, loop) if options.cases else []
    quickstart = measure_quickstart(loop, options.quickstart)
    fixed_cost = measure_overhead(options.forks) if options.forks else None
    counted = (
        replay_all_kinds(options.count, options.seeds, options.orders, options.curves, CORES) if options.count else []
    )
    print_all(measured, quickstart, counted, fixed_cost)
    report = {
        "measured": [dataclasses.asdict(one) for one in measured],
        "quickstart": [dataclasses.asdict(one) for one in quickstart],
        "counted": [dataclasses.asdict(one) for one in counted],
        "overhead": dataclasses.asdict(fixed_cost) if fixed_cost else None,
        "environment": report_environment(search_cost_parser().prog),
    }
    write_json_report(options.json, report)
    if not all(one.is_exact and one.is_same for one in measured):
        sys.exit(1)


if __name__ == "__main__":
    main()
