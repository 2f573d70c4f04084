"""Searches over complete curves: ours under the code that decides in a search, a plain one under Ray's own ASHA."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from absgd import records
from benchmarks.curves import Cell, Curve
from benchmarks.peers import Clock, asha
from tune_runs.stopping.rules import ScenarioStopping
from tune_runs.stopping.rungs import EarlyStopping

IsBehind = Callable[[Curve, int], bool]
"""Whether a trial is stopped after an epoch."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search came to."""

    epochs: int
    """Trained by all trials, and by the control where there is one."""
    completed: tuple[Curve, ...]
    """Trials that came to the last epoch, in the order in which they did."""


def our_search(cell: Cell, order: Sequence[Curve], at_once: int, stopping: EarlyStopping) -> Search:
    """The plain control once, and every trial from its switch until it falls behind.

    Args:
        cell: what all trials have in common.
        order: the trials, as they arrive.
        at_once: how many take turns, one epoch each.
        stopping: when trials are compared.
    """
    judge = ScenarioStopping(stopping, records.METRICS[cell.space.metric], cell.control.get)

    def is_behind(curve: Curve, epoch: int) -> bool:
        return judge.falls_behind(str(curve.number), curve.switch, epoch, curve.by_epoch[epoch])

    forks = _take_turns(cell, order, at_once, is_behind)
    return dataclasses.replace(forks, epochs=cell.space.epochs + forks.epochs)


def plain_search(cell: Cell, order: Sequence[Curve], at_once: int, clock: Clock | None) -> Search:
    """Every trial from its first epoch, stopped by ASHA; None: stopped by nothing.

    The epochs before a trial's switch count, but take no turns. One trial at a time is also how trials that run side by
    side come to rungs in the last half of the epochs: in the order in which they arrive.
    """
    second = _take_turns(cell, order, at_once, _asha_stops(cell, order, clock) if clock else _never)
    return dataclasses.replace(second, epochs=second.epochs + sum(curve.switch for curve in order))


def _never(_: Curve, __: int) -> bool:
    return False


def _asha_stops(cell: Cell, order: Sequence[Curve], clock: Clock) -> IsBehind:
    told = asha(cell.space, clock)
    scheduler = ASHAScheduler(
        time_attr="clock",
        metric="value",
        mode=records.METRICS[cell.space.metric],
        grace_period=told.grace_period,
        max_t=told.max_t,
        reduction_factor=told.reduction_factor,
    )
    # Of Ray's `Trial` the scheduler uses the id alone.
    trials = {curve.number: SimpleNamespace(trial_id=str(curve.number)) for curve in order}
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)

    def is_behind(curve: Curve, epoch: int) -> bool:
        result = {"clock": epoch + 1 - told.starts_at, "value": curve.by_epoch[epoch]}
        return bool(scheduler.on_trial_result(None, trials[curve.number], result) == TrialScheduler.STOP)

    return is_behind


def _take_turns(cell: Cell, order: Sequence[Curve], at_once: int, is_behind: IsBehind) -> Search:
    """Stage two of all trials."""
    arriving, live = iter(order), list[tuple[Curve, Iterator[int]]]()
    epochs, completed = 0, list[Curve]()
    while True:
        live += [(curve, iter(curve.by_epoch)) for curve in itertools.islice(arriving, at_once - len(live))]
        if not live:
            return Search(epochs, tuple(completed))
        for turn in tuple(live):
            curve, left = turn
            epoch = next(left)
            epochs += 1
            is_last = epoch == curve.last_epoch
            if is_last and cell.is_complete(curve):
                completed.append(curve)
            if is_behind(curve, epoch) or is_last:
                live.remove(turn)


def kept(cell: Cell, completed: Sequence[Curve]) -> Curve:
    """The trial that a search keeps: the best at the last epoch, as `Recorder.best` does."""
    return max(completed, key=lambda curve: (cell.sign * curve.end(), -curve.val_loss))
