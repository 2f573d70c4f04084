"""Which trials of a scenario fall behind: what is compared at a rung, and with whom.

At a rung a trial goes on when it is among the best of all trials that have met the rung so far, itself included: one in
`reduction_factor`, rounded up; those with the same value count half. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import enum
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tune_runs.space.model import StoppingRule
from tune_runs.stopping.rungs import EarlyStopping, Rung, places


class Never(enum.Enum):
    """Stands for a value of the plain control that will not come, since the control ended before that epoch."""

    COMES = "never comes"


ControlValue = Callable[[int], float | Never | None]
"""The plain control's metric at an epoch, known for every epoch before one that it is known for; None: not yet."""

MEDIAN_OF = 3
"""Other trials without which the median stops nobody, as in Ray's rule."""

_GAIN_RULES: tuple[StoppingRule, ...] = ("advantage", "mean_advantage", "age_then_epoch", "median")


class _Result(NamedTuple):
    number: int
    """Among those of the scenario, in the order in which they came."""
    trial_id: str
    switch_epoch: int | None
    epoch: int
    metric: float


class ScenarioStopping:
    """The trials of one scenario, as far as they have come.

    Where the metric is compared, a result is judged as it comes. Where a gain is, it waits until the control's value of
    its epoch is known, and its trial goes on; where that value never comes, it is not compared. Results that waited are
    judged in the order in which they came. Of the rungs at which a trial was judged, the latest decides. Every trial
    that has met a rung counts there for good: so reporting recorded results again, whichever trial first, leaves the
    same scores.

    Args:
        stopping: when trials are compared.
        mode: whether the metric is better when larger or smaller.
        control: the plain control's values.
    """

    def __init__(self, stopping: EarlyStopping, mode: Literal["max", "min"], control: ControlValue) -> None:
        self._stopping, self._control = stopping, control
        self._sign = 1.0 if mode == "max" else -1.0
        self._first_by_metric = _first_by_metric(stopping)
        self._numbers = itertools.count()
        self._next_epoch: dict[str, int] = {}
        self._waiting: dict[int, list[_Result]] = defaultdict(list)
        """Epoch -> results that wait for the control's value there."""
        self._gains: dict[str, list[float]] = defaultdict(list)
        self.scores: dict[Rung, dict[str, float]] = defaultdict(dict)
        """What was compared: rung -> trial -> value, larger is better."""
        self._verdicts: dict[str, tuple[int, bool]] = {}
        """Epoch of a trial's latest rung judged, and whether the trial fell behind there."""

    def falls_behind(self, trial_id: str, switch_epoch: int | None, epoch: int, metric: float) -> bool:
        """Whether a trial is to be stopped, now that it has come so far.

        Args:
            trial_id: of the trial.
            switch_epoch: its first epoch of stage two; None without one.
            epoch: the epoch it reports, 0-based; one before its switch, or reported before, does not count.
            metric: its value there.
        """
        if epoch >= max(self._stopping.start_of(switch_epoch), self._next_epoch.get(trial_id, 0)):
            self._next_epoch[trial_id] = epoch + 1
            result = _Result(next(self._numbers), trial_id, switch_epoch, epoch, metric)
            if epoch < self._first_by_metric:
                self._waiting[epoch].append(result)
            elif rung := self._stopping.rung_at(switch_epoch, epoch):
                score = _number(self._sign * metric)
                self._judge(result, rung, score, best=score)
        self._judge_waiting()
        _, is_behind = self._verdicts.get(trial_id, (epoch, False))
        return is_behind

    def _judge_waiting(self) -> None:
        """Judge the results that waited for values of the control which are known by now."""
        due: list[tuple[_Result, float]] = []
        while self._waiting and (control := self._control(epoch := min(self._waiting))) is not None:
            results = self._waiting.pop(epoch)
            if control is not Never.COMES:
                due += ((result, _number(self._sign * (result.metric - control))) for result in results)
        for result, gain in sorted(due):
            gains = self._gains[result.trial_id]
            gains.append(gain)
            if rung := self._stopping.rung_at(result.switch_epoch, result.epoch):
                self._judge(result, rung, _number(self._compared(gains)), best=max(gains))

    def _judge(self, result: _Result, rung: Rung, score: float, best: float) -> None:
        others = self.scores[rung]
        if self._stopping.rule == "median":
            is_behind = _below_median(best, list(others.values()))
        else:
            is_behind = _not_placed(score, others, rung)
        others[result.trial_id] = score
        verdict = (result.epoch, is_behind)
        self._verdicts[result.trial_id] = max(verdict, self._verdicts.get(result.trial_id, verdict))

    def _compared(self, gains: Sequence[float]) -> float:
        """What is compared at a rung, of a trial's gains since its switch."""
        if self._stopping.rule in ("mean_advantage", "median"):
            return statistics.fmean(gains)
        return max(gains) if self._stopping.rule == "age_then_epoch" else gains[-1]


def _first_by_metric(stopping: EarlyStopping) -> int:
    """The first epoch, 0-based, from which on the metric is compared and not the gain."""
    if stopping.rule not in _GAIN_RULES:
        return 0
    return min(stopping.final_rungs, default=stopping.epochs + 1) - 1


def _number(score: float) -> float:
    """Equal where it is equal but for rounding; what is not a number loses against everything."""
    return -math.inf if math.isnan(score) else round(score, 9)


def _not_placed(score: float, others: Mapping[str, float], rung: Rung) -> bool:
    better = sum(other > score for other in others.values())
    equal = sum(other == score for other in others.values())
    return better + equal / 2 >= places(len(others) + 1, rung.reduction_factor)


def _below_median(best: float, others: Sequence[float]) -> bool:
    return len(others) >= MEDIAN_OF and best < statistics.median(others)
