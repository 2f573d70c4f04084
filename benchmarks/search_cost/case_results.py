"""A case measured: both sides run in turn, and their runs compared."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence

from absgd.config import RunConfig
from absgd.records import METRICS
from benchmarks.complete_curves.curve_training import random_configs, switch_epochs
from benchmarks.complete_curves.plain_asha import AshaClock
from benchmarks.harness.command_line import CORES
from benchmarks.search_cost.bare_loop import BareLoop
from benchmarks.search_cost.search_cases import SearchCase
from benchmarks.search_cost.search_runs import CommandRun, EpochChain, MetricCurves, PlainRun, run_ours, run_plain
from tune_runs.space.model import SearchSpace

SLOW_S = 1.0
"""Seconds besides its epochs that a trial in a warm worker stays below."""

TrialKey = tuple[str, int]
"""Scenario and number of the configuration."""


@dataclasses.dataclass(frozen=True)
class CommandRepeat:
    """One run of the command, compared with the bare loop measured before it."""

    epochs: int
    best: float
    wall_s: float
    ideal_s: float
    critical_s: float
    epochs_s: float
    """Duration of its epochs in the run, on all cores."""
    start_s: float
    worker_s: float
    end_s: float
    besides_s: tuple[float, ...]
    """Duration of each trial without its epochs."""

    @property
    def to_ideal(self) -> float:
        """Wall time over the ideal."""
        return self.wall_s / self.ideal_s

    @property
    def to_critical(self) -> float:
        """Wall time over the critical path."""
        return self.wall_s / self.critical_s

    @property
    def besides_median_s(self) -> float:
        """Median duration of trials without their epochs."""
        return statistics.median(self.besides_s or [0.0])

    @property
    def num_slow(self) -> int:
        """Number of trials that took SLOW_S or more besides their epochs."""
        return sum(value >= SLOW_S for value in self.besides_s)


@dataclasses.dataclass(frozen=True)
class PlainComparison:
    """The plain search under one clock, and its agreement with ours."""

    clock: AshaClock | None
    """Clock of the plain search; None: no stopping."""
    epochs: int
    best: float
    wall_s: tuple[float, ...]
    """Duration of each run."""
    num_same: int
    num_same_epochs: int
    """Epochs after the switch of trials that agree, in the first repeat."""
    num_same_whole: int
    different: tuple[str, ...]
    """Trials that differ in an epoch that both sides trained, in any repeat."""


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """A case and the measurements of both sides."""

    case: SearchCase
    metric: str
    """Metric that decides."""
    exact_epochs: int | None
    """Epochs that ours must train; None with stopping."""
    repeats: tuple[CommandRepeat, ...]
    plain: tuple[PlainComparison, ...]
    """One comparison for each clock; empty where the plain search was not run."""

    def median(self, value: Callable[[CommandRepeat], float]) -> float:
        """Return the median of a value over the repeats."""
        return statistics.median(map(value, self.repeats))

    def fewer(self, plain: PlainComparison) -> float:
        """Return plain epochs over ours."""
        return plain.epochs / self.median(lambda one: one.epochs)

    @property
    def is_exact(self) -> bool:
        """Whether every repeat trained exactly the epochs that it must."""
        return self.exact_epochs is None or {one.epochs for one in self.repeats} == {self.exact_epochs}

    @property
    def is_same(self) -> bool:
        """Whether no trial differs from its plain counterpart."""
        return not any(plain.different for plain in self.plain)


def measure_case(
    case: SearchCase, loop: BareLoop, repeats: int, plain_repeats: int, clocks: Sequence[AshaClock]
) -> CaseResult:
    """Run both sides in turn; with stopping, the plain one under each clock."""
    space = case.space()
    runs = {scenario.name: random_configs(space, scenario) for scenario in space.scenario_list}
    plains: dict[AshaClock | None, list[PlainRun]] = {clock: [] for clock in (clocks if case.is_stopping else (None,))}
    ours, done = list[CommandRun](), list[CommandRepeat]()
    for repeat in range(repeats):
        for clock, of_clock in plains.items() if repeat < plain_repeats else ():
            of_clock.append(run_plain(space, clock))
        epoch_s = {name: loop.epoch_s(of[0]) for name, of in runs.items()}
        ours.append(run_ours(space))
        done.append(repeat_of(space, ours[-1], epoch_s))
    return CaseResult(
        case=case,
        metric=space.objective.first,
        exact_epochs=None if case.is_stopping else sum(map(exact_epochs, runs.values())),
        repeats=tuple(done),
        plain=tuple(compare_plain(space, clock, found, ours) for clock, found in plains.items() if found),
    )


def exact_epochs(runs: Sequence[RunConfig]) -> int:
    """Count the control's epochs, of which the trunk is a part, and every trial's epochs from its switch on."""
    return runs[0].epochs + sum(runs[0].epochs - switch for switch in switch_epochs(runs))


def repeat_of(space: SearchSpace, run: CommandRun, epoch_s: Mapping[str, float]) -> CommandRepeat:
    """Compare a run of the command with the bare loop.

    Args:
        space: what was searched.
        run: the run of the command.
        epoch_s: seconds of an epoch in the bare loop, by scenario.
    """
    work_s = sum(chain.epochs * epoch_s[name] for name, chain in run.chains.items())
    return CommandRepeat(
        epochs=run.epochs,
        best=best_value(space, run.curves),
        wall_s=run.wall_s,
        ideal_s=work_s / CORES,
        critical_s=critical_path(list(run.chains.values()), CORES) * work_s / run.epochs,
        epochs_s=run.epochs_s / CORES,
        start_s=run.start_s,
        worker_s=run.worker_s,
        end_s=run.end_s,
        besides_s=run.besides_s,
    )


def critical_path(chains: Sequence[EpochChain], cores: int) -> float:
    """Return the least number of consecutive epochs of any schedule on `cores` cores.

    It is the longest chain (a control, or a trunk and the fork after it), or all epochs on all cores, where only trunks
    can train until the first fork; whichever is longer.

    >>> critical_path([EpochChain(60, ((40, 20), (40, 20)))], cores=2)  # 40 alone, then 60 on two cores
    70.0
    """
    longest = max(max(chain.control, *map(sum, chain.forks)) for chain in chains)
    alone = min(min(trunk for trunk, _ in chain.forks) for chain in chains)
    return max(longest, alone + (sum(chain.epochs for chain in chains) - alone * min(len(chains), cores)) / cores)


def best_value(space: SearchSpace, curves: MetricCurves) -> float:
    """Return the best value at the last epoch among trials that trained it; mean over scenarios."""
    place = list(METRICS).index(space.objective.first)
    best = max if METRICS[space.objective.first] == "max" else min
    finals: dict[str, list[float]] = {}
    for (scenario, _), curve in curves.items():
        if len(curve) == space.epochs and (value := curve[-1][place]) is not None:
            finals.setdefault(scenario, []).append(value)
    return statistics.fmean(best(values) for values in finals.values())


def compare_plain(
    space: SearchSpace, clock: AshaClock | None, plains: Sequence[PlainRun], ours: Sequence[CommandRun]
) -> PlainComparison:
    """Compare the first plain run with every run of ours."""
    curves, first = plains[0].curves, ours[0].curves
    different = sorted({trial for one in ours for trial in differing(curves, one.curves)})
    both = {trial: min(len(curve), len(first[trial])) for trial, curve in curves.items()}
    same = {trial: epochs for trial, epochs in both.items() if trial not in different}
    switches = {
        (scenario.name, number): switch
        for scenario in space.scenario_list
        for number, switch in enumerate(switch_epochs(random_configs(space, scenario)))
    }
    return PlainComparison(
        clock=clock,
        epochs=plains[0].epochs,
        best=best_value(space, curves),
        wall_s=tuple(one.wall_s for one in plains),
        num_same=len(same),
        num_same_epochs=sum(epochs - switches[trial] for trial, epochs in same.items()),
        num_same_whole=sum(epochs == space.epochs for epochs in same.values()),
        different=tuple(f"{name}-{number}" for name, number in different),
    )


def differing(plain: MetricCurves, ours: MetricCurves) -> list[TrialKey]:
    """Return the trials whose metrics differ in an epoch that both sides trained."""
    assert plain.keys() == ours.keys(), "both sides try the same configurations"
    return [
        trial
        for trial, curve in plain.items()
        if any(mine != theirs for mine, theirs in zip(ours[trial], curve, strict=False))
    ]


def regret(one: CaseResult, measured: Sequence[CaseResult]) -> list[float]:
    """Return the points that stopping costs in each repeat; empty where no search without it was measured."""
    without = dataclasses.replace(one.case, is_stopping=False)
    best = next((other.repeats[0].best for other in measured if other.case == without), None)
    if best is None or not one.case.is_stopping:
        return []
    sign = 1 if METRICS[one.metric] == "max" else -1
    return [100 * sign * (best - repeat.best) for repeat in one.repeats]
