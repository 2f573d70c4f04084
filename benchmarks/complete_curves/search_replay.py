"""Searches replayed over complete curves: ours under the rules of a real search, a plain one under Ray's ASHA."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from absgd import records
from benchmarks.complete_curves.curve_tables import SeedCurves, TrialCurve
from benchmarks.complete_curves.plain_asha import AshaClock, asha_settings
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import EarlyStoppingConfig
from tune_runs.stopping.rungs import EarlyStopping, early_stopping
from tune_runs.stopping.stopping_rules import ScenarioStopping

IsBehind = Callable[[TrialCurve, int], bool]
"""Decides whether a trial is stopped after an epoch."""


@dataclasses.dataclass(frozen=True)
class ReplayedSearch:
    """Cost and survivors of a replayed search."""

    epochs: int
    """Epochs trained by all trials, and by the control where there is one."""
    completed: tuple[TrialCurve, ...]
    """Trials that reached the last epoch, in the order in which they did."""


def replay_ours(cell: SeedCurves, order: Sequence[TrialCurve], at_once: int, stopping: EarlyStopping) -> ReplayedSearch:
    """Replay our search: the plain control once, and every trial from its switch until it falls behind.

    Args:
        cell: common to all trials.
        order: the trials in order of arrival.
        at_once: number of trials that take turns, one epoch each.
        stopping: when trials are compared.
    """
    judge = ScenarioStopping(stopping, records.METRICS[cell.space.objective.first], cell.control.get)

    def is_behind(curve: TrialCurve, epoch: int) -> bool:
        return judge.falls_behind(str(curve.number), curve.switch, epoch, curve.by_epoch[epoch])

    forks = take_turns(cell, order, at_once, is_behind)
    return dataclasses.replace(forks, epochs=cell.space.epochs + forks.epochs)


def replay_plain(
    cell: SeedCurves, order: Sequence[TrialCurve], at_once: int, clock: AshaClock | None
) -> ReplayedSearch:
    """Replay the plain search: every trial from its first epoch, stopped by ASHA, or by nothing where `clock` is None.

    The epochs before a trial's switch count, but take no turns. One trial at a time also stands for trials side by
    side: in the last half of the epochs they reach rungs in their order of arrival.
    """
    second = take_turns(cell, order, at_once, _asha_stops(cell, order, clock) if clock else _never)
    return dataclasses.replace(second, epochs=second.epochs + sum(curve.switch for curve in order))


def _never(_: TrialCurve, __: int) -> bool:
    return False


def _asha_stops(cell: SeedCurves, order: Sequence[TrialCurve], clock: AshaClock) -> IsBehind:
    settings = asha_settings(cell.space, clock)
    scheduler = ASHAScheduler(
        time_attr="clock",
        metric="value",
        mode=records.METRICS[cell.space.objective.first],
        grace_period=settings.grace_period,
        max_t=settings.max_t,
        reduction_factor=settings.reduction_factor,
    )
    # The scheduler reads only the id of Ray's `Trial`.
    trials = {curve.number: SimpleNamespace(trial_id=str(curve.number)) for curve in order}
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)

    def is_behind(curve: TrialCurve, epoch: int) -> bool:
        result = {"clock": epoch + 1 - settings.starts_at, "value": curve.by_epoch[epoch]}
        return bool(scheduler.on_trial_result(None, trials[curve.number], result) == TrialScheduler.STOP)

    return is_behind


def take_turns(cell: SeedCurves, order: Sequence[TrialCurve], at_once: int, is_behind: IsBehind) -> ReplayedSearch:
    """Replay stage two of all trials."""
    arriving, live = iter(order), list[tuple[TrialCurve, Iterator[int]]]()
    epochs, completed = 0, list[TrialCurve]()
    while True:
        live += [(curve, iter(curve.by_epoch)) for curve in itertools.islice(arriving, at_once - len(live))]
        if not live:
            return ReplayedSearch(epochs, tuple(completed))
        for turn in tuple(live):
            curve, left = turn
            epoch = next(left)
            epochs += 1
            is_last = epoch == curve.last_epoch
            if is_last and cell.is_complete(curve):
                completed.append(curve)
            if is_behind(curve, epoch) or is_last:
                live.remove(turn)


def kept_trial(cell: SeedCurves, completed: Sequence[TrialCurve]) -> TrialCurve:
    """Return the trial that a search keeps: the best at the last epoch, as `Recorder.best` chooses."""
    return max(completed, key=lambda curve: (cell.sign * curve.end(), -curve.val_loss))


def stopping_under(space: SearchSpace, config: EarlyStoppingConfig | None) -> EarlyStopping:
    """Return the early stopping of a space whose settings are replaced by `config`."""
    return early_stopping(space.model_copy(update={"early_stopping": config}))
