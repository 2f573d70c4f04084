"""Which trials of a scenario fall behind: what is compared at a rung, and with whom.

At a rung a trial goes on when it is among the best of all trials that have met the rung so far, itself included: one in
`reduction_factor`, rounded up; those with the same value count half. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from tune_runs.early_stopping import EarlyStopping, Rung, places
from tune_runs.space import StoppingRule

ControlValue = Callable[[int], float | None]
"""The plain control's metric at an epoch; None when it is not known yet."""

MEDIAN_OF = 3
"""Other trials without which the median stops nobody, as in Ray's rule."""

_GAIN_RULES: tuple[StoppingRule, ...] = ("advantage", "mean_advantage", "age_then_epoch", "median")


@dataclasses.dataclass(frozen=True)
class _Result:
    trial_id: str
    switch_epoch: int | None
    epoch: int
    metric: float


class ScenarioStopping:
    """The trials of one scenario, as far as they have come.

    A result is judged once the control's value of its epoch is known; until then it waits and its trial goes on.
    Results are judged in the order in which they came, and every trial that has met a rung counts there for good: so
    reporting recorded results again, whichever trial first, leaves the same state.

    Args:
        stopping: when trials are compared.
        mode: whether the metric is better when larger or smaller.
        control: the plain control's values.
    """

    def __init__(self, stopping: EarlyStopping, mode: Literal["max", "min"], control: ControlValue) -> None:
        self._stopping, self._control = stopping, control
        self._sign = 1.0 if mode == "max" else -1.0
        self._next_epoch: dict[str, int] = {}
        self._waiting: list[_Result] = []
        self._values: dict[str, list[float]] = defaultdict(list)
        self.scores: dict[Rung, dict[str, float]] = defaultdict(dict)
        """What was compared: rung -> trial -> value, larger is better."""
        self._behind: set[str] = set()

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
            self._waiting.append(_Result(trial_id, switch_epoch, epoch, metric))
        self._judge_waiting()
        return trial_id in self._behind

    def _judge_waiting(self) -> None:
        waiting: list[_Result] = []
        held_up: set[str] = set()
        for result in self._waiting:
            value = None if result.trial_id in held_up else self._value(result)
            if value is None:
                waiting.append(result)
                held_up.add(result.trial_id)
            else:
                self._judge(result, value)
        self._waiting = waiting

    def _value(self, result: _Result) -> float | None:
        """What is compared of a result, larger is better; None while the control is not as far."""
        if self._stopping.rule not in _GAIN_RULES:
            return self._sign * result.metric
        control = self._control(result.epoch)
        return None if control is None else self._sign * (result.metric - control)

    def _judge(self, result: _Result, value: float) -> None:
        values = self._values[result.trial_id]
        values.append(_number(value))
        rung = self._stopping.rung_at(result.switch_epoch, result.epoch)
        if rung is None:
            return
        others = self.scores[rung]
        score = _number(self._compared(values, rung))
        if self._stopping.rule == "median":
            is_behind = _below_median(max(values), list(others.values()))
        else:
            is_behind = _not_placed(score, others, rung)
        others[result.trial_id] = score
        if is_behind:
            self._behind.add(result.trial_id)

    def _compared(self, values: Sequence[float], rung: Rung) -> float:
        """What is compared at a rung, of a trial's values since its switch."""
        if self._stopping.rule in ("mean_advantage", "median"):
            return statistics.fmean(values)
        if self._stopping.rule == "age_then_epoch" and rung.unit != "epochs":
            return max(values)
        return values[-1]


def _number(score: float) -> float:
    """Equal where it is equal but for rounding; what is not a number loses against everything."""
    return -math.inf if math.isnan(score) else round(score, 9)


def _not_placed(score: float, others: Mapping[str, float], rung: Rung) -> bool:
    better = sum(other > score for other in others.values())
    equal = sum(other == score for other in others.values())
    return better + equal / 2 >= places(len(others) + 1, rung.reduction_factor)


def _below_median(best: float, others: Sequence[float]) -> bool:
    return len(others) >= MEDIAN_OF and best < statistics.median(others)
