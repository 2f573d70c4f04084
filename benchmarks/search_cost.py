"""What a search costs with `absgd-tune`, against a plain Ray Tune script over the same configurations.

    python benchmarks/search_cost.py [--cases ...] [--trials 8 32] [--scenarios 1 2] [--repeats 3] [--json FILE]

A case is where trials switch (`range`: 60 to 80 % of the epochs, `fixed`: 80 %; `long`, only when asked for: as `range`
with a larger network) and whether trials are stopped early, on both sides or on neither. Both sides try the same
configurations, drawn at random once, on digits with one thread each: `search_cost_plain.py` from scratch in a process
for each trial, under Ray's ASHA with factor 3 from one epoch after the latest switch; the command `absgd-tune`, told
them as known-good points, under its default rule. Each starts in a new process; its wall time counts that process from
start to end. Printed, for each case:

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

Then a trial's fixed cost (`search_cost_overhead.py`), searches counted by replay (`search_cost_count.py`), and every
target, met or missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import shlex
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import search_cost_count as counting
from search_cost_measure import Measured, Repeat, measure
from search_cost_overhead import Overhead, overhead
from search_cost_runs import CORES, BareLoop, Case

from absgd.environment import describe_environment
from absgd.records import METRICS

CASES = ("off-range", "on-range", "off-fixed", "on-fixed")
LONG_CASES = ("off-long", "on-long")
WALL_TARGET, REGRET_TARGET = 1.15, 0.3
FEWER_TARGETS = {32: 8.0, 128: 10.0}


def _around(values: Sequence[float], form: str = ".1f") -> str:
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}}-{max(values):{form}})"


def epoch_table(measured: Sequence[Measured], all_measured: Sequence[Measured]) -> Iterator[str]:
    """Markdown; `all_measured` has the searches without stopping that regret is held against."""
    yield "| case | plain epochs | ours | fewer | exact | plain best | ours | regret | same | epochs | whole |"
    yield "|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|"
    for one in measured:
        exact = "" if one.exact_epochs is None else "yes" if one.is_exact else f"NO: {one.exact_epochs}"
        plain, loss = one.plain, regret(one, all_measured)
        cells = [
            str(one.case),
            str(plain.epochs) if plain else "",
            _around([repeat.epochs for repeat in one.repeats], ".0f"),
            f"{one.fewer:.2f}" if one.fewer else "",
            exact,
            f"{100 * plain.best:.2f}" if plain else "",
            _around([100 * repeat.best for repeat in one.repeats], ".2f"),
            _around(loss, ".2f") if loss else "",
            f"{plain.num_same} of {one.case.num_runs}" if plain else "",
            str(plain.num_same_epochs) if plain else "",
            str(plain.num_same_whole) if plain else "",
        ]
        yield f"| {' | '.join(cells)} |"


def wall_table(measured: Sequence[Measured]) -> Iterator[str]:
    """Markdown, in seconds: medians, and ranges where there are several runs."""
    yield (
        "| case | plain | ours | faster | ideal | ours / ideal | path | ours / path "
        "| start | worker | end | besides | slow trials |"
    )
    yield "|---|" + "---:|" * 12
    for one in measured:
        done, plain_s = one.repeats, one.plain.wall_s if one.plain else ()
        cells = [
            str(one.case),
            _around(plain_s) if plain_s else "",
            _around([repeat.wall_s for repeat in done]),
            f"{statistics.median(plain_s) / one.median(lambda repeat: repeat.wall_s):.1f}" if plain_s else "",
            _around([repeat.ideal_s for repeat in done]),
            _around([repeat.to_ideal for repeat in done], ".2f"),
            _around([repeat.critical_s for repeat in done]),
            _around([repeat.to_critical for repeat in done], ".2f"),
            _around([repeat.start_s for repeat in done]),
            _around([repeat.worker_s for repeat in done]),
            _around([repeat.end_s for repeat in done]),
            _around([repeat.besides_median_s for repeat in done], ".2f"),
            _around([repeat.num_slow for repeat in done], ".0f"),
        ]
        yield f"| {' | '.join(cells)} |"


def regret(one: Measured, measured: Sequence[Measured]) -> list[float]:
    """Points that stopping costs, in each repeat; empty where the same search without stopping was not measured."""
    without = dataclasses.replace(one.case, is_stopping=False)
    best = next((other.repeats[0].best for other in measured if other.case == without), None)
    if best is None or not one.case.is_stopping:
        return []
    sign = 1 if METRICS[one.case.space().metric] == "max" else -1
    return [100 * sign * (best - repeat.best) for repeat in one.repeats]


def targets(measured: Sequence[Measured], counted: Sequence[counting.Counted]) -> Iterator[str]:
    """Each target with what was measured; where wall time misses it, why."""
    for one in measured:
        if one.exact_epochs is not None:
            words = f"{one.case}: {one.repeats[0].epochs} epochs, exactly {one.exact_epochs}"
            yield _verdict(words, one.is_exact)
        elif one.fewer and (target := FEWER_TARGETS.get(one.case.num_trials)):
            yield _verdict(f"{one.case}: {one.fewer:.2f}x fewer epochs, at least {target:g}x", one.fewer >= target)
    for of in counted:
        if of.is_stopping and (target := FEWER_TARGETS.get(of.num_trials)):
            words = f"{of.num_trials} trials, switch {of.switch}, stopping on, {of.searches} replays: "
            yield _verdict(f"{words}{of.fewer:.2f}x fewer epochs, at least {target:g}x", of.fewer >= target)
            is_met = of.regret <= REGRET_TARGET
            yield _verdict(f"{words}mean regret {of.regret:.2f} points, at most {REGRET_TARGET}", is_met)
    for one in measured:
        ratio = one.median(lambda repeat: repeat.to_ideal)
        words = f"{one.case}: {ratio:.2f} times the ideal wall time, at most {WALL_TARGET}"
        yield _verdict(words, ratio <= WALL_TARGET) + ("" if ratio <= WALL_TARGET else f": {_why(one)}")


def _verdict(words: str, is_met: bool) -> str:
    return f"{'met' if is_met else 'MISSED'}: {words}"


def _why(one: Measured) -> str:
    """Where wall time beyond the ideal goes: medians over the repeats, in seconds."""
    parts: dict[str, Callable[[Repeat], float]] = {
        "start of process and Ray": lambda repeat: repeat.start_s,
        "start of the first worker": lambda repeat: repeat.worker_s,
        "end": lambda repeat: repeat.end_s,
        "a core waits for the trunk": lambda repeat: repeat.critical_s - repeat.ideal_s,
        "epochs slower than in the bare loop": lambda repeat: repeat.epochs_s - repeat.ideal_s,
    }
    excess = one.median(lambda repeat: repeat.wall_s - repeat.ideal_s)
    rest = one.median(lambda repeat: repeat.wall_s - repeat.ideal_s - sum(part(repeat) for part in parts.values()))
    listed = [f"{one.median(part):.1f} {name}" for name, part in parts.items()]
    return f"{excess:.1f} s more: " + ", ".join([*listed, f"{rest:.1f} trials besides their epochs and waiting"])


def cases(names: Sequence[str], trials: Sequence[int], scenarios: Sequence[int]) -> list[Case]:
    """In the order in which they run."""
    return [
        Case(switch, stopping == "on", num_trials, num_scenarios)
        for num_scenarios in scenarios
        for num_trials in trials
        for stopping, switch in (name.split("-") for name in names)
    ]


def environment() -> dict[str, Any]:
    """Without the paths of this machine."""
    about = describe_environment([])
    command = [Path(word).name if "/" in word else word for word in shlex.split(about["command"])]
    return {**about, "command": shlex.join(command), "cores": CORES}


def main() -> None:
    """Measure, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=(*CASES, *LONG_CASES), default=list(CASES))
    parser.add_argument("--trials", type=int, nargs="*", default=[8, 32], help="of the searches that are run")
    parser.add_argument("--scenarios", type=int, nargs="*", choices=(1, 2), default=[1])
    parser.add_argument("--repeats", type=int, default=3, help="of absgd-tune")
    parser.add_argument("--plain-repeats", type=int, default=1, help="of the plain script; 0: not run")
    parser.add_argument("--count", type=int, nargs="*", default=[8, 32, counting.LARGEST], help="trials, by replay")
    parser.add_argument("--seeds", type=int, default=3, help="of the complete curves")
    parser.add_argument("--orders", type=int, default=30, help="of arrival, for each seed")
    parser.add_argument("--curves", type=Path, default=counting.CURVES, help="folder that keeps them")
    parser.add_argument("--forks", type=int, default=40, help="whose fixed cost is measured; 0: none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    loop, measured = BareLoop(), list[Measured]()
    for case in cases(options.cases, options.trials, options.scenarios):
        measured.append(measure(case, loop, options.repeats, options.plain_repeats))
        for lines in (epoch_table(measured[-1:], measured), wall_table(measured[-1:])):
            print(*itertools.islice(lines, 2, None), sep="\n", flush=True)
    fixed_cost = overhead(options.forks, options.forks) if options.forks else None
    counted = []
    if options.count:
        counted = counting.counted(options.count, options.seeds, options.orders, options.curves, CORES)
    print_all(measured, counted, fixed_cost)
    report = {
        "measured": [dataclasses.asdict(one) for one in measured],
        "counted": [dataclasses.asdict(one) for one in counted],
        "overhead": dataclasses.asdict(fixed_cost) if fixed_cost else None,
        "environment": environment(),
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    if not all(one.is_exact and not (one.plain and one.plain.different) for one in measured):
        sys.exit(1)


def print_all(measured: Sequence[Measured], counted: Sequence[counting.Counted], fixed_cost: Overhead | None) -> None:
    """The tables of what was measured, then the targets."""
    parts = [epoch_table(measured, measured), wall_table(measured)] if measured else []
    parts += [counting.table(counted)] if counted else []
    parts += [fixed_cost.lines()] if fixed_cost else []
    for lines in (*parts, targets(measured, counted)):
        print("", *lines, sep="\n")


if __name__ == "__main__":
    main()
