"""A case measured: both sides run in turn, and what their runs came to, one held against the other."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence

from absgd.config import RunConfig
from absgd.records import METRICS
from benchmarks.command_line import CORES
from benchmarks.peers import Clock
from benchmarks.search_cost.bare_loop import BareLoop
from benchmarks.search_cost.cases import Case
from benchmarks.search_cost.sides import Chain, Curves, Ours, Plain, run_ours, run_plain
from benchmarks.train_curves import random_configs, switch_epochs
from tune_runs.space.model import SearchSpace

SLOW_S = 1.0
"""A trial in a warm worker takes less besides its epochs."""

Trial = tuple[str, int]
"""Scenario, and number of the configuration."""


@dataclasses.dataclass(frozen=True)
class Repeat:
    """One run of the command, held against the bare loop measured before it."""

    epochs: int
    best: float
    wall_s: float
    ideal_s: float
    critical_s: float
    epochs_s: float
    """Its epochs as they took in the run, on all cores."""
    start_s: float
    worker_s: float
    end_s: float
    besides_s: tuple[float, ...]
    """Of each trial."""

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
        """Of trials besides their epochs."""
        return statistics.median(self.besides_s or [0.0])

    @property
    def num_slow(self) -> int:
        """Trials that took longer besides their epochs than one in a warm worker does."""
        return sum(value >= SLOW_S for value in self.besides_s)


@dataclasses.dataclass(frozen=True)
class Against:
    """The plain search under one clock, and how ours agrees with it."""

    clock: Clock | None
    """None: without stopping."""
    epochs: int
    best: float
    wall_s: tuple[float, ...]
    """Of each run."""
    num_same: int
    num_same_epochs: int
    """Behind the switch, of trials that agree, in the first repeat."""
    num_same_whole: int
    different: tuple[str, ...]
    """Trials that differ in an epoch that both sides trained, in any repeat."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A case."""

    case: Case
    metric: str
    """That decides."""
    exact_epochs: int | None
    """What ours must be; None with stopping."""
    repeats: tuple[Repeat, ...]
    plain: tuple[Against, ...]
    """By clock; empty where the plain search was not run."""

    def median(self, value: Callable[[Repeat], float]) -> float:
        """Over the repeats."""
        return statistics.median(map(value, self.repeats))

    def fewer(self, plain: Against) -> float:
        """Plain epochs over ours."""
        return plain.epochs / self.median(lambda one: one.epochs)

    @property
    def is_exact(self) -> bool:
        """Whether the epochs are what they must be, in every repeat."""
        return self.exact_epochs is None or {one.epochs for one in self.repeats} == {self.exact_epochs}

    @property
    def is_same(self) -> bool:
        """Whether no trial differs from the plain one."""
        return not any(plain.different for plain in self.plain)


def measure(case: Case, loop: BareLoop, repeats: int, plain_repeats: int, clocks: Sequence[Clock]) -> Measured:
    """Both sides, in turn; with stopping the plain one under each of the clocks."""
    space = case.space()
    runs = {scenario.name: random_configs(space, scenario) for scenario in space.scenario_list}
    plains: dict[Clock | None, list[Plain]] = {clock: [] for clock in (clocks if case.is_stopping else (None,))}
    ours, done = list[Ours](), list[Repeat]()
    for repeat in range(repeats):
        for clock, of_clock in plains.items() if repeat < plain_repeats else ():
            of_clock.append(run_plain(space, clock))
        epoch_s = {name: loop.epoch_s(of[0]) for name, of in runs.items()}
        ours.append(run_ours(space))
        done.append(repeat_of(space, ours[-1], epoch_s))
    return Measured(
        case=case,
        metric=space.metric,
        exact_epochs=None if case.is_stopping else sum(map(exact_epochs, runs.values())),
        repeats=tuple(done),
        plain=tuple(against(space, clock, found, ours) for clock, found in plains.items() if found),
    )


def exact_epochs(runs: Sequence[RunConfig]) -> int:
    """Trunk and the control's rest, then every trial of a scenario from its switch on."""
    return runs[0].epochs + sum(runs[0].epochs - switch for switch in switch_epochs(runs))


def repeat_of(space: SearchSpace, run: Ours, epoch_s: Mapping[str, float]) -> Repeat:
    """A run of the command, held against the seconds of an epoch in the bare loop, by scenario."""
    work_s = sum(chain.epochs * epoch_s[name] for name, chain in run.chains.items())
    return Repeat(
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


def critical_path(chains: Sequence[Chain], cores: int) -> float:
    """Epochs one after another, at least, of any schedule on so many cores.

    Either the longest chain: a control, or a trunk and a fork behind it. Or all epochs on all cores, where until the
    first fork only trunks can train.

    >>> critical_path([Chain(60, ((40, 20), (40, 20)))], cores=2)  # 40 alone, then 60 on two cores
    70.0
    """
    longest = max(max(chain.control, *map(sum, chain.forks)) for chain in chains)
    alone = min(min(trunk for trunk, _ in chain.forks) for chain in chains)
    return max(longest, alone + (sum(chain.epochs for chain in chains) - alone * min(len(chains), cores)) / cores)


def best_value(space: SearchSpace, curves: Curves) -> float:
    """At the last epoch, of the trials that trained it; mean over scenarios."""
    place = list(METRICS).index(space.metric)
    best = max if METRICS[space.metric] == "max" else min
    finals: dict[str, list[float]] = {}
    for (scenario, _), curve in curves.items():
        if len(curve) == space.epochs and (value := curve[-1][place]) is not None:
            finals.setdefault(scenario, []).append(value)
    return statistics.fmean(best(values) for values in finals.values())


def against(space: SearchSpace, clock: Clock | None, plains: Sequence[Plain], ours: Sequence[Ours]) -> Against:
    """The first plain run, and every run of ours beside it."""
    curves, first = plains[0].curves, ours[0].curves
    different = sorted({trial for one in ours for trial in differing(curves, one.curves)})
    both = {trial: min(len(curve), len(first[trial])) for trial, curve in curves.items()}
    same = {trial: epochs for trial, epochs in both.items() if trial not in different}
    switches = {
        (scenario.name, number): switch
        for scenario in space.scenario_list
        for number, switch in enumerate(switch_epochs(random_configs(space, scenario)))
    }
    return Against(
        clock=clock,
        epochs=plains[0].epochs,
        best=best_value(space, curves),
        wall_s=tuple(one.wall_s for one in plains),
        num_same=len(same),
        num_same_epochs=sum(epochs - switches[trial] for trial, epochs in same.items()),
        num_same_whole=sum(epochs == space.epochs for epochs in same.values()),
        different=tuple(f"{name}-{number}" for name, number in different),
    )


def differing(plain: Curves, ours: Curves) -> list[Trial]:
    """Trials whose metrics differ in an epoch that both sides trained."""
    assert plain.keys() == ours.keys(), "both sides try the same configurations"
    return [
        trial
        for trial, curve in plain.items()
        if any(mine != theirs for mine, theirs in zip(ours[trial], curve, strict=False))
    ]


def regret(one: Measured, measured: Sequence[Measured]) -> list[float]:
    """Points that stopping costs, in each repeat; empty where the same search without stopping was not measured."""
    without = dataclasses.replace(one.case, is_stopping=False)
    best = next((other.repeats[0].best for other in measured if other.case == without), None)
    if best is None or not one.case.is_stopping:
        return []
    sign = 1 if METRICS[one.metric] == "max" else -1
    return [100 * sign * (best - repeat.best) for repeat in one.repeats]
