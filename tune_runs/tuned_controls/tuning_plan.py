"""The plan of a scenario's tuned controls: the runs of each, how many fit, and when they are stopped early.

It follows from the space alone: a resumed search plans the same. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from absgd.config import RunConfig
from absgd.config.dotted_keys import setting_value
from absgd.errors import UserError
from absgd.records import control_id
from tune_runs.seed_pairs.pair_runs import PairRun, plain_prefix, with_trunks
from tune_runs.space.model import SearchSpace, TunedControlName
from tune_runs.stopping.rungs import EarlyStopping, Rung, early_stopping
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing
from tune_runs.tuned_controls.tuned_methods import TUNED_METHODS, tuned_name
from tune_runs.tuned_controls.tuned_points import points_of, stage_ones

_LEAST_POINTS = 2
"""Configurations that a control tries at least: one alone is no search."""
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


@dataclass(frozen=True)
class MethodPlan:
    """The runs of one tuned control."""

    name: TunedControlName
    runs: tuple[PairRun, ...]
    """Its runs on the first seed pair, in the order in which they start."""
    num_points: int
    """Configurations that it might have tried: `runs` are the first of them."""

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

    @cached_property
    def runs(self) -> tuple[PairRun, ...]:
        """All runs, linked to the plain runs that they fork from."""
        every = (*self.trunks, *(run for method in self.methods for run in method.runs))
        return with_trunks(list({run.trial_id: run for run in every}.values()))

    @property
    def fork_epochs(self) -> tuple[int, ...]:
        """Epochs after which runs fork from plain controls, rising."""
        controls = {run.trial_id for run in self.trunks}
        return tuple(sorted({run.fork_at for run in self.runs if run.trunk in controls} - {0}))


def tuning_plan(space: SearchSpace, plan: ScenarioPlan, class_counts: Sequence[int] | None = None) -> TuningPlan:
    """Return the runs of the controls that a scenario tunes.

    A control with a stage one of its own tries as many configurations as train about the epochs that the scenario's
    trials train after their forks, early stopping included; one whose runs fork from plain controls likewise, where a
    fork trains the rest of its epochs. The plain control tries as many stage ones as the former, or as the trials are
    expected to have, whose controls train anyway.

    Args:
        space: the search space.
        plan: plan of the scenario.
        class_counts: training images of each class; None: not known, and every class is taken to have some.
    """
    if not space.controls.tuned:
        return TuningPlan()
    budget = epochs_after_fork(plan.num_trials, plan.sharing, early_stopping(space))
    stopping = tuning_stopping(space)
    plain = stage_ones(space, plan)
    expected = round(plan.sharing.expected_trunks) if plan.sharing.shares else 1
    trunks = plain[: max(expected, _num_whole(budget, stopping, len(plain)))]
    shared = any(TUNED_METHODS[name].shares_trunks(plan) for name in space.controls.methods)
    methods, notes = [], []
    for name in space.controls.methods:
        method = TUNED_METHODS[name]
        empty = [label for label, count in enumerate(class_counts or ()) if not count]
        if method.needs_every_class and empty:
            notes.append(f"control `{name}` is not tuned: no training image of class {', '.join(map(str, empty))}")
            continue
        is_shared = method.shares_trunks(plan)
        try:
            points = points_of(name, space, plan, trunks if is_shared else plain)
        except UserError as error:
            notes.append(f"control `{name}` is not tuned: {error}")
            continue
        number = _num_forks(points, budget) if is_shared else _num_whole(budget, stopping, len(points))
        runs = tuple(_run_of(name, plan, config) for config in points[:number])
        methods.append(MethodPlan(name, runs, len(points)))
    controls = tuple(_control_run(plan, config) for config in trunks) if shared else ()
    return TuningPlan(tuple(methods), controls, tuple(notes))


def tuning_stopping(space: SearchSpace) -> EarlyStopping:
    """Return when runs of a control with a stage one of its own are compared: at equal epochs, by the metric.

    Where the learning rate falls in steps, only after the last one: before it, weight decays hardly differ.
    """
    epochs = space.epochs
    start = max(setting_value(space.base, "schedule.milestones") or (0,))
    at = sorted({round(start + share * (epochs - start)) for share in _RUNG_SHARES} - {0, epochs})
    ladder = tuple(Rung(epoch, "epochs", _REDUCTION_FACTOR) for epoch in at) if space.early_stopping else ()
    return EarlyStopping(epochs, None, None, "epoch" if ladder else None, at[0] if ladder else None, ladder)


def epochs_after_fork(num_trials: int, sharing: StageOneSharing, stopping: EarlyStopping) -> float:
    """Return the epochs that trials of a scenario are expected to train after their forks, early stopping included."""
    with_stage_two = round(num_trials * sharing.stage_two_share)
    plain = num_trials - with_stage_two
    return plain + (stopping.expected_epochs(with_stage_two, sharing.switch_epochs) if with_stage_two else 0)


def _num_whole(budget: float, stopping: EarlyStopping, most: int) -> int:
    """Return how many runs from scratch train about `budget` epochs, early stopping included."""
    number = _LEAST_POINTS
    while number < most and stopping.expected_epochs(number + 1, (0,)) <= budget:
        number += 1
    return min(number, most)


def _num_forks(points: Sequence[RunConfig], budget: float) -> int:
    """Return how many of the first points train at most `budget` epochs after their forks."""
    trained = 0.0
    for number, config in enumerate(points):
        prefix, epochs = plain_prefix(config)
        trained += 0 if prefix == config else config.epochs - epochs
        if trained > budget and number >= _LEAST_POINTS:
            return number
    return len(points)


def _run_of(name: TunedControlName, plan: ScenarioPlan, config: RunConfig) -> PairRun:
    """Return a run on the first seed pair; a plain run is a control of the search, which others may have begun."""
    if plain_prefix(config)[0] == config and TUNED_METHODS[name].shares_trunks(plan):
        return _control_run(plan, config)
    candidate = tuned_name(name)
    return PairRun(f"{plan.name}-{candidate}-{config.digest()}", 0, "tuning", config, candidate)


def _control_run(plan: ScenarioPlan, config: RunConfig) -> PairRun:
    """Return the plain control of a stage one, with the snapshots that trials fork from."""
    key = None if config == plan.control else config.stage_one_key()
    due = plan.sharing.fork_epochs if plan.sharing.shares else ()
    return PairRun(control_id(plan.name, key), 0, "control", config, save_at=due)
