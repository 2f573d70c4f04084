"""The plan of a scenario's tuned controls: the runs of each, how many fit, and when they are stopped early.

It follows from the space alone: a resumed search plans the same. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from absgd.config import RunConfig
from absgd.config.dotted_keys import setting_value
from absgd.errors import UserError
from absgd.records import control_id
from tune_runs.seed_pairs.pair_runs import PairRun, plain_prefix, with_trunks
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import TunedControlName
from tune_runs.stopping.rungs import EarlyStopping, Rung, early_stopping
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing
from tune_runs.tuned_controls.tuned_methods import TUNED_METHODS, tuned_name
from tune_runs.tuned_controls.tuned_points import (
    LEAST_STAGE_ONES,
    plain_ce,
    points_of,
    stage_ones,
    tuned_control_of,
)

_LEAST_POINTS = 2
"""Configurations that a control tries at least, where there are as many: one alone is no search."""
_RUNG_SHARES = (0.5, 0.75)
"""Shares of the epochs, or of those after the last milestone, at which runs of one control are compared: one in two
continues."""
_REDUCTION_FACTOR = 2


class TunedControl(NamedTuple):
    """The best configuration that was found for a control."""

    name: str
    """Its name in a confirmation, such as `focal-tuned`."""
    config: RunConfig
    """Its config, with the seeds of the search."""


class BestControls(NamedTuple):
    """The best configuration of each tuned control."""

    controls: tuple[TunedControl, ...] = ()
    notes: tuple[str, ...] = ()
    """A sentence for each control that has none, and for runs that have not ended."""


@dataclass(frozen=True)
class MethodPlan:
    """The runs of one tuned control."""

    name: TunedControlName
    runs: tuple[PairRun, ...]
    """Its runs on the first seed pair, in the order in which they start."""

    @property
    def candidate(self) -> str:
        """Its name in a confirmation."""
        return tuned_name(self.name)


@dataclass(frozen=True)
class TuningPlan:
    """The tuned controls of one scenario; none where the space tunes none."""

    methods: tuple[MethodPlan, ...] = ()
    trunks: tuple[PairRun, ...] = ()
    """Plain controls from which runs fork; none where no run does."""
    notes: tuple[str, ...] = ()
    """A sentence for each control that cannot be tuned."""
    forks_of_trials: tuple[int, ...] = ()
    """Epochs after which trials fork from plain controls."""

    @cached_property
    def runs(self) -> tuple[PairRun, ...]:
        """All runs, linked to the plain runs that they fork from; each plain control serves trials and runs alike."""
        linked = self._linked
        due = tuple(sorted({*self.fork_epochs, *self.forks_of_trials}))
        return with_trunks([replace(run, save_at=due) if run.phase == "control" else run for run in linked])

    @cached_property
    def fork_epochs(self) -> tuple[int, ...]:
        """Epochs after which runs fork from plain controls, rising."""
        controls = {run.trial_id for run in self._linked if run.phase == "control"}
        return tuple(sorted({run.fork_at for run in self._linked if run.trunk in controls} - {0}))

    def is_stopped_early(self, trial_id: str) -> bool:
        """Whether a run is compared with others of its control: it trains from its first epoch, and is no trunk."""
        return trial_id in self._whole

    def num_whole(self, method: MethodPlan) -> int:
        """Return how many runs of a method train from their first epoch and are no plain controls."""
        return len({run.trial_id for run in method.runs} & self._whole)

    @cached_property
    def _linked(self) -> tuple[PairRun, ...]:
        every = (*self.trunks, *(run for method in self.methods for run in method.runs))
        return with_trunks(list({run.trial_id: run for run in every}.values()))

    @cached_property
    def _whole(self) -> frozenset[str]:
        tuned = (run for run in self._linked if run.phase == "tuning")
        return frozenset(run.trial_id for run in tuned if run.trunk is None and not run.save_at)


def tuning_plan(space: SearchSpace, plan: ScenarioPlan, class_counts: Sequence[int] | None = None) -> TuningPlan:
    """Return the runs of the controls that a scenario tunes.

    Each control tries as many configurations as train about the epochs that the scenario's trials train after their
    forks: a fork trains the rest of its epochs, other runs are stopped early. Plain controls of the search and plain
    training on cross entropy are the trunks from which others fork; of those there are as many as that budget trains,
    or as the trials are expected to have, whose controls train anyway.

    Args:
        space: the search space.
        plan: plan of the scenario.
        class_counts: training images of each class; None: not known, and every class is taken to have some.
    """
    if not space.controls.tuned:
        return TuningPlan()
    plain = stage_ones(space, plan)
    budget = _Budget(
        epochs_after_fork(plan.num_trials, plan.sharing, early_stopping(space)),
        max(_LEAST_POINTS, min(LEAST_STAGE_ONES, len(plain))),
        tuning_stopping(space),
    )
    trunks = _trunks(space, plan, plain[: budget.num_trunks(plan.sharing)])
    methods, notes = [], []
    for name in space.controls.methods:
        empty = [label for label, count in enumerate(class_counts or ()) if not count]
        if TUNED_METHODS[name].needs_every_class and empty:
            notes.append(f"control `{name}` is not tuned: no training image of class {', '.join(map(str, empty))}")
            continue
        bases = [one for one in trunks if one.loss.name == TUNED_METHODS[name].criterion]
        try:
            points = points_of(name, space, plan, bases or plain, trunks)
        except UserError as error:
            notes.append(f"control `{name}` is not tuned: {error}")
            continue
        tried = points[: budget.num_points(points, trunks)]
        runs = (_control_run(space, plan, one) if one in trunks else _own_run(name, plan, one) for one in tried)
        methods.append(MethodPlan(name, tuple(runs)))
    controls = tuple(_control_run(space, plan, one) for one in trunks)
    forks = plan.sharing.fork_epochs if plan.sharing.shares else ()
    return TuningPlan(tuple(methods), controls, tuple(notes), forks)


def tuning_stopping(space: SearchSpace) -> EarlyStopping:
    """Return when runs of a control with a stage one of its own are compared: at equal epochs, by the metric.

    Where the learning rate falls in steps, only after the last one: before it, weight decays hardly differ.
    """
    epochs = space.epochs
    start = max(setting_value(space.base, "schedule.milestones") or (0,))
    at = sorted({round(start + share * (epochs - start)) for share in _RUNG_SHARES} - {0, epochs})
    ladder = tuple(Rung(epoch, "epochs", _REDUCTION_FACTOR) for epoch in at) if space.early_stopping else ()
    return EarlyStopping(epochs, None, None, "asha" if ladder else None, at[0] if ladder else None, ladder)


def epochs_after_fork(num_trials: int, sharing: StageOneSharing, stopping: EarlyStopping) -> float:
    """Return the epochs that trials of a scenario are expected to train after their forks, early stopping included."""
    with_stage_two = round(num_trials * sharing.stage_two_share)
    plain = num_trials - with_stage_two
    return plain + (stopping.expected_epochs(with_stage_two, sharing.switch_epochs) if with_stage_two else 0)


class _Budget(NamedTuple):
    """The budget of a control, which bounds the configurations that it tries."""

    epochs: float
    """Epochs that a control may train, trunks aside."""
    least: int
    """Configurations that it tries whatever they cost."""
    stopping: EarlyStopping
    """When its runs from scratch are stopped."""

    def num_trunks(self, sharing: StageOneSharing) -> int:
        """Return how many plain runs are trunks: as many as the trials are expected to have, or more."""
        expected = round(sharing.expected_trunks) if sharing.shares else 1
        return max(self.least, expected, int(self.epochs // self.stopping.epochs))

    def num_points(self, points: Sequence[RunConfig], trunks: Collection[RunConfig]) -> int:
        """Return how many of the first points are tried; trunks cost nothing."""
        forked, num_whole = 0, 0
        for number, config in enumerate(points):
            prefix, epochs = plain_prefix(config)
            if config not in trunks and prefix in trunks:
                forked += config.epochs - epochs
            elif config not in trunks:
                num_whole += 1
            whole = self.stopping.expected_epochs(num_whole, (0,)) if num_whole else 0
            if number >= self.least and forked + whole > self.epochs:
                return number
        return len(points)


def _trunks(space: SearchSpace, plan: ScenarioPlan, plain: Sequence[RunConfig]) -> list[RunConfig]:
    """Return the plain runs from which runs of the tuned controls fork, or which are such runs themselves."""
    criteria = {TUNED_METHODS[name].criterion for name in space.controls.methods}
    on_ce = [plain_ce(one) for one in plain] if "ce" in criteria else []
    is_own = plan.control.loss.name in criteria - {"ce"} and plan.control.class_balance.type == "none"
    return list(dict.fromkeys((*on_ce, *(plain if is_own else ()))))


def _control_run(space: SearchSpace, plan: ScenarioPlan, config: RunConfig) -> PairRun:
    """Return a plain control, which trials fork from too; the search may have begun it."""
    key = None if config == plan.control else config.stage_one_key()
    return PairRun(control_id(plan.name, key), 0, "control", config, tuned_control_of(config, space, plan))


def _own_run(name: TunedControlName, plan: ScenarioPlan, config: RunConfig) -> PairRun:
    candidate = tuned_name(name)
    return PairRun(f"{plan.name}-{candidate}-{config.digest()}", 0, "tuning", config, candidate)
