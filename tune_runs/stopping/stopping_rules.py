"""The stopping rules: what is compared at a rung, and which trials fall behind.

A trial passes a rung when it is among the best of all trials that have met the rung so far, itself included: one in
`reduction_factor`, rounded up; trials with the same value count half. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import enum
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tune_runs.space.space_sections import StoppingRule
from tune_runs.stopping.rungs import EarlyStopping, Rung, places


class Never(enum.Enum):
    """The value of the plain control at an epoch that it will not reach, since it ended before."""

    COMES = "never comes"


ControlValue = Callable[[int], float | Never | None]
"""The plain control's metric at an epoch; None: not reached yet. Epochs become known in order."""

MEDIAN_OF = 3
"""Least number of other trials with which the median stops a trial, as in Ray's rule."""

_GAIN_RULES: tuple[StoppingRule, ...] = ("advantage", "mean_advantage", "age_then_epoch", "median")


class _Result(NamedTuple):
    number: int
    """Position among the results of the scenario, in order of arrival."""
    trial_id: str
    switch_epoch: int | None
    epoch: int
    metric: float


class ScenarioStopping:
    """Judges the trials of one scenario as their results arrive.

    Where the metric is compared, a result is judged at once. Where a gain is compared, the result waits until the
    control's value at its epoch is known, and its trial continues meanwhile; where that value never comes, the result
    is not compared. Results that waited are judged in order of arrival. The latest rung at which a trial was judged
    decides. Every trial that has met a rung counts there permanently, so reporting recorded results again gives the
    same scores, in whatever order the trials come.

    Args:
        stopping: when trials are compared.
        mode: whether a larger or a smaller metric is better.
        control: the plain control's values.
    """

    def __init__(self, stopping: EarlyStopping, mode: Literal["max", "min"], control: ControlValue) -> None:
        self._stopping, self._control = stopping, control
        self._sign = 1.0 if mode == "max" else -1.0
        self._first_by_metric = _first_by_metric(stopping)
        self._numbers = itertools.count()
        self._next_epoch: dict[str, int] = {}
        self._waiting: dict[int, list[_Result]] = defaultdict(list)
        """Epoch -> results that wait for the control's value at it."""
        self._gains: dict[str, list[float]] = defaultdict(list)
        self.scores: dict[Rung, dict[str, float]] = defaultdict(dict)
        """The compared values: rung -> trial -> value, larger is better."""
        self._verdicts: dict[str, tuple[int, bool]] = {}
        """Trial -> epoch of the latest rung at which it was judged, and whether it fell behind there."""

    def falls_behind(self, trial_id: str, switch_epoch: int | None, epoch: int, metric: float) -> bool:
        """Take a result; return whether its trial is to be stopped.

        Args:
            trial_id: the trial.
            switch_epoch: its first epoch of stage two; None without a stage two.
            epoch: the reported epoch, 0-based; one before the switch, or reported already, does not count.
            metric: the metric at this epoch.
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
        """Judge the waiting results for which the control's value is now known."""
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
        """Return the value that is compared at a rung, from a trial's gains since its switch."""
        if self._stopping.rule in ("mean_advantage", "median"):
            return statistics.fmean(gains)
        return max(gains) if self._stopping.rule == "age_then_epoch" else gains[-1]


def _first_by_metric(stopping: EarlyStopping) -> int:
    """Return the first epoch, 0-based, from which the metric is compared instead of the gain."""
    if stopping.rule not in _GAIN_RULES:
        return 0
    return min(stopping.final_rungs, default=stopping.epochs + 1) - 1


def _number(score: float) -> float:
    """Round a score, so that scores that differ by rounding are equal; NaN ranks below every number."""
    return -math.inf if math.isnan(score) else round(score, 9)


def _not_placed(score: float, others: Mapping[str, float], rung: Rung) -> bool:
    better = sum(other > score for other in others.values())
    equal = sum(other == score for other in others.values())
    return better + equal / 2 >= places(len(others) + 1, rung.reduction_factor)


def _below_median(best: float, others: Sequence[float]) -> bool:
    return len(others) >= MEDIAN_OF and best < statistics.median(others)
