"""What a search costs with `absgd-tune`, against a plain Ray Tune script over the same configurations.

    python -m benchmarks.search_cost [--cases ...] [--trials 8 32] [--scenarios 1 2] [--repeats 3] [--json FILE]
    python -m benchmarks.search_cost --cases off-long --trials 32 --scenarios 2 --plain-repeats 0 --count --forks 0

A case is where trials switch (`range`: 60 to 80 % of the epochs, `fixed`: 80 %; `long`, only when asked for: as `range`
with a larger network) and whether trials are stopped early, on both sides or on neither. Both sides try the same
configurations, drawn at random once, on digits with one thread each: `search_cost.plain_script` from scratch in a
process for each trial, with stopping once under each peer of `benchmarks.peers`; the command `absgd-tune`, told them as
known-good points, under its default rule. Each starts in a new process; its wall time counts that process from start to
end. Printed, for each case and peer:

- epochs trained by either side, and whether ours are, without stopping, exactly trunk + sum of (epochs - switch) + the
  control's rest;
- best: value at the last epoch of the best trial that trained it, of each side, in points, mean over scenarios; regret:
  what stopping costs of ours;
- same: trials whose validation metrics are equal, bit for bit, in all epochs that both sides trained; how many of
  these epochs lie behind the switch, and how many of these curves are whole. A trial that differs ends the script with
  status 1;
- wall time of each side; ideal: our epochs at the speed of a bare loop over Trainer, one on each core at the same time,
  measured before each run; path: the least time of these epochs when forks wait for their trunk (critical path);
- start: of process and Ray, until the first trial is handed over; worker: of that trial besides its epochs, while a
  worker process imports everything; end: after the last trial; besides: of other trials besides their epochs, and how
  many of them took a second or more for it, which means that they waited for a process.

Then searches counted by replay (`search_cost.counted`), a trial's fixed cost (`search_cost.fixed_cost`), and every
target, met or missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command_line import CORES, at_least, command_parser, environment
from benchmarks.peers import CLOCKS
from benchmarks.search_cost import counted as counting
from benchmarks.search_cost.bare_loop import BareLoop
from benchmarks.search_cost.cases import CASES, LONG_CASES, cases
from benchmarks.search_cost.compare import Measured, measure
from benchmarks.search_cost.counted import Counted
from benchmarks.search_cost.fixed_cost import LEAST_FORKS, Overhead, overhead
from benchmarks.search_cost.tables import counted_table, epoch_table, wall_table
from benchmarks.search_cost.targets import targets


def options_parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = command_parser("benchmarks.search_cost", __doc__)
    every_case = (*CASES, *LONG_CASES)
    parser.add_argument(
        "--cases", nargs="*", choices=every_case, default=list(CASES), help=", ".join(every_case), metavar="CASE"
    )
    parser.add_argument("--trials", type=at_least(1), nargs="+", default=[8, 32], help="of the searches that are run")
    parser.add_argument("--scenarios", type=int, nargs="+", choices=(1, 2), default=[1])
    parser.add_argument("--repeats", type=at_least(1), default=3, help="of absgd-tune")
    parser.add_argument("--plain-repeats", type=at_least(0), default=1, help="of the plain script; 0: not run")
    parser.add_argument("--clocks", nargs="+", choices=CLOCKS, default=list(CLOCKS), help="of its ASHA")
    parser.add_argument("--count", type=at_least(1), nargs="*", default=list(counting.SIZES), help="trials, by replay")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="of the complete curves")
    parser.add_argument("--orders", type=at_least(2), default=30, help="of arrival, for each seed")
    parser.add_argument("--curves", type=Path, default=counting.CURVES, help="folder that keeps them")
    parser.add_argument("--forks", type=at_least(0), default=40, help="whose fixed cost is measured; 0: none")
    parser.add_argument("--json", type=Path)
    return parser


def asked_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The checked command line."""
    parser = options_parser()
    options = parser.parse_args(words)
    if 0 < options.forks < LEAST_FORKS:
        parser.error(f"argument --forks: expected 0 or at least {LEAST_FORKS} on {CORES} cores, got {options.forks}")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"argument --json: expected a file in an existing folder, got {options.json}")
    return options


def measured_cases(options: argparse.Namespace) -> list[Measured]:
    """Every case, its rows printed as soon as it is measured."""
    loop, measured = BareLoop(), list[Measured]()
    for case in cases(options.cases, options.trials, options.scenarios):
        measured.append(measure(case, loop, options.repeats, options.plain_repeats, options.clocks))
        for lines in (epoch_table(measured[-1:], measured), wall_table(measured[-1:])):
            print(*itertools.islice(lines, 2, None), sep="\n", flush=True)
    return measured


def print_all(measured: Sequence[Measured], counted: Sequence[Counted], fixed_cost: Overhead | None) -> None:
    """The tables of what was measured, then the targets."""
    parts = [epoch_table(measured, measured), wall_table(measured)] if measured else []
    parts += [counted_table(counted)] if counted else []
    parts += [fixed_cost.lines()] if fixed_cost else []
    for lines in (*parts, map(str, targets(measured, counted))):
        print("", *lines, sep="\n")


def main() -> None:
    """Measure, count and print."""
    options = asked_options()
    measured = measured_cases(options) if options.cases else []
    fixed_cost = overhead(options.forks) if options.forks else None
    counted = (
        counting.counted(options.count, options.seeds, options.orders, options.curves, CORES) if options.count else []
    )
    print_all(measured, counted, fixed_cost)
    report = {
        "measured": [dataclasses.asdict(one) for one in measured],
        "counted": [dataclasses.asdict(one) for one in counted],
        "overhead": dataclasses.asdict(fixed_cost) if fixed_cost else None,
        "environment": environment(options_parser().prog),
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if not all(one.is_exact and one.is_same for one in measured):
        sys.exit(1)


if __name__ == "__main__":
    main()
