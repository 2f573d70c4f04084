"""A case of `benchmarks/search_cost.py`: both sides run in turn, and what their runs came to.

Imported, not run.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from early_stopping_curves import configs
from search_cost_runs import CORES, BareLoop, Case, Curves, Ours, Plain, critical_path, our_search, plain_search

from absgd.config import RunConfig
from absgd.records import METRICS
from tune_runs.space import SearchSpace

SLOW_S = 1.0
"""A trial in a warm worker takes less besides its epochs."""


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
    """The plain search, and how ours agrees with it."""

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
    exact_epochs: int | None
    """What ours must be; None with stopping."""
    repeats: tuple[Repeat, ...]
    plain: Against | None

    def median(self, value: Callable[[Repeat], float]) -> float:
        """Over the repeats."""
        return statistics.median(map(value, self.repeats))

    @property
    def fewer(self) -> float | None:
        """Plain epochs over ours; None where the plain search was not run."""
        return self.plain.epochs / self.median(lambda one: one.epochs) if self.plain else None

    @property
    def is_exact(self) -> bool:
        """Whether the epochs are what they must be, in every repeat."""
        return self.exact_epochs is None or {one.epochs for one in self.repeats} == {self.exact_epochs}


def measure(case: Case, loop: BareLoop, repeats: int, plain_repeats: int) -> Measured:
    """Both sides, in turn."""
    space = case.space()
    runs = {scenario.name: configs(space, scenario) for scenario in space.scenario_list}
    plains, ours, done = list[Plain](), list[Ours](), list[Repeat]()
    for repeat in range(repeats):
        if repeat < plain_repeats:
            plains.append(plain_search(space))
        epoch_s = {name: loop.epoch_s(of[0]) for name, of in runs.items()}
        ours.append(our_search(space))
        done.append(_repeat(space, ours[-1], epoch_s))
    return Measured(
        case=case,
        exact_epochs=None if case.is_stopping else sum(map(exact_epochs, runs.values())),
        repeats=tuple(done),
        plain=against(space, plains, ours) if plains else None,
    )


def exact_epochs(runs: Sequence[RunConfig]) -> int:
    """Trunk and the control's rest, then every trial of a scenario from its switch on."""
    return runs[0].epochs + sum(run.epochs - run.attention.switch_epoch for run in runs if run.attention)


def _repeat(space: SearchSpace, run: Ours, epoch_s: dict[str, float]) -> Repeat:
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


def best_value(space: SearchSpace, curves: Curves) -> float:
    """At the last epoch, of the trials that trained it; mean over scenarios."""
    place = list(METRICS).index(space.metric)
    best = max if METRICS[space.metric] == "max" else min
    finals: dict[str, list[float]] = {}
    for (scenario, _), curve in curves.items():
        if len(curve) == space.epochs:
            finals.setdefault(scenario, []).append(curve[-1][place] or 0.0)
    return statistics.fmean(best(values) for values in finals.values())


def against(space: SearchSpace, plains: Sequence[Plain], ours: Sequence[Ours]) -> Against:
    """The first plain run, and every run of ours beside it."""
    curves, first = plains[0].curves, ours[0]
    different = sorted({trial for one in ours for trial in differing(curves, one.curves)})
    both = {trial: min(len(curve), len(first.curves[trial])) for trial, curve in curves.items()}
    same = {trial: epochs for trial, epochs in both.items() if trial not in different}
    switches = {
        (scenario.name, number): run.attention.switch_epoch
        for scenario in space.scenario_list
        for number, run in enumerate(configs(space, scenario))
        if run.attention
    }
    return Against(
        epochs=plains[0].epochs,
        best=best_value(space, curves),
        wall_s=tuple(one.wall_s for one in plains),
        num_same=len(same),
        num_same_epochs=sum(epochs - switches[trial] for trial, epochs in same.items()),
        num_same_whole=sum(epochs == space.epochs for epochs in same.values()),
        different=tuple(f"{name}-{number}" for name, number in different),
    )


def differing(plain: Curves, ours: Curves) -> list[tuple[str, int]]:
    """Trials whose metrics differ in an epoch that both sides trained."""
    assert plain.keys() == ours.keys(), "both sides try the same configurations"
    return [
        trial
        for trial, curve in plain.items()
        if any(mine != theirs for mine, theirs in zip(ours[trial], curve, strict=False))
    ]
