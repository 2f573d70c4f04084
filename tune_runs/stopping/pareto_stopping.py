"""Early stopping of a search for two metrics: a trial stops where it is behind in both.

Each metric is compared at the rungs as in a search for it alone, which gives a trial two values at a rung. A trial that
no other one beats in both passes; the others are ordered by non-dominated sorting, and pass among the best of all that
have met the rung so far. docs/early-stopping.md has the numbers behind this. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence

from absgd.records import pareto_ranks
from tune_runs.stopping.rungs import EarlyStopping, Rung, places
from tune_runs.stopping.stopping_rules import ScenarioStopping

Point = tuple[float, float]


class ParetoStopping:
    """Judges the trials of one scenario by two metrics as their results arrive.

    Args:
        stopping: when trials are compared; not by the rule `median`, which compares with one number.
        judges: the judges of the two metrics, whose own verdicts do not count.
    """

    def __init__(self, stopping: EarlyStopping, judges: tuple[ScenarioStopping, ScenarioStopping]) -> None:
        assert stopping.rule != "median", "a rule of the space refuses it"
        self._ladder, self._judges = stopping.ladder, judges
        self._verdicts: dict[tuple[Rung, str], bool] = {}

    def falls_behind(self, trial_id: str, switch_epoch: int | None, epoch: int, values: Sequence[float]) -> bool:
        """Take a result; return whether its trial is to be stopped.

        Args:
            trial_id: the trial.
            switch_epoch: its first epoch of stage two; None without a stage two.
            epoch: the reported epoch, 0-based.
            values: the two metrics at this epoch.
        """
        for judge, value in zip(self._judges, values, strict=True):
            judge.falls_behind(trial_id, switch_epoch, epoch, value)
        met = [rung for rung in self._ladder if trial_id in self._judges[0].scores[rung]]
        return bool(met) and self._is_behind(met[-1], trial_id)

    def _is_behind(self, rung: Rung, trial_id: str) -> bool:
        if (rung, trial_id) not in self._verdicts:
            first, second = (judge.scores[rung] for judge in self._judges)
            arrived = list(first)[: list(first).index(trial_id) + 1]
            self._verdicts[rung, trial_id] = is_dominated([(first[one], second[one]) for one in arrived], rung)
        return self._verdicts[rung, trial_id]


def is_dominated(points: Sequence[Point], rung: Rung) -> bool:
    """Whether the last of the trials that have met a rung is on no front that passes; its equals count half.

    A trial that none beats in both always passes.

    >>> rung = Rung(1, "epochs", 3)
    >>> is_dominated([(0.9, 0.1), (0.8, 0.0)], rung), is_dominated([(0.9, 0.1), (0.8, 0.2)], rung)
    (True, False)
    """
    *others, own = pareto_ranks(points)
    better, equal = sum(one < own for one in others), others.count(own)
    return own > 0 and better + equal / 2 >= places(len(points), rung.reduction_factor)
