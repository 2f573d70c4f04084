"""The objective of a search: one metric or two, and the rule by which one of many runs is chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from absgd.records.metrics import METRIC_TITLES, METRICS

ParetoRule = Literal["mean", "first"]
"""Rule that chooses one of the runs that trade one metric for another: by the mean of both, or by the first."""
TIE = 1e-6
"""Weight of the second metric under the rule `first`: below any difference in the first that counts."""


@dataclasses.dataclass(frozen=True)
class SearchObjective:
    """One validation metric, or two, with the rule that orders runs by one number.

    A run that another one equals or beats in both metrics never has the larger number, so that the first run in order
    is on the Pareto front.

    >>> both = SearchObjective(("val_accuracy", "val_worst_recall"), "mean")
    >>> both.score([0.8, 0.5]), both.score([0.7, 0.7])
    (0.65, 0.7)
    """

    metrics: tuple[str, ...]
    """Names in `METRICS`; the first one is that of tables, claims and confirmations."""
    rule: ParetoRule = "mean"

    @property
    def first(self) -> str:
        """The first metric."""
        return self.metrics[0]

    @property
    def is_pareto(self) -> bool:
        """Whether there are two metrics."""
        return len(self.metrics) > 1

    @property
    def words(self) -> str:
        """The number that runs are ordered by, in words."""
        titles = [METRIC_TITLES[name] for name in self.metrics]
        if not self.is_pareto:
            return titles[0]
        return f"the mean of {' and '.join(titles)}" if self.rule == "mean" else f"{titles[0]}, then {titles[1]}"

    def signed(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return the values of the metrics with their signs set so that larger is better."""
        return tuple(
            value if METRICS[name] == "max" else -value for name, value in zip(self.metrics, values, strict=True)
        )

    def score(self, values: Sequence[float]) -> float:
        """Return the number that orders runs, larger is better, for the values of the metrics."""
        first, *others = self.signed(values)
        if not others:
            return first
        return (first + others[0]) / 2 if self.rule == "mean" else first + TIE * others[0]

    def values_in(self, row: Mapping[str, Any]) -> tuple[float, ...] | None:
        """Return the values of the metrics in the row of an epoch; None where one is missing."""
        values = [row[name] for name in self.metrics]
        return None if None in values else tuple(values)

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the columns of a trial row about the second metric, from its epoch rows in order."""
        second = self.metrics[1] if self.is_pareto else None
        return {
            "second_metric": second,
            "second_last": rows[-1][second] if second and rows else None,
            "pareto_rule": self.rule if second else None,
        }


PARETO_COLUMNS = ("second_metric", "second_last", "pareto_rule")
"""Columns of trials.parquet about the second metric; null in a search for one, and absent in earlier versions."""


def pareto_ranks(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the front of each point: 0 if no other one beats it, 1 if only points of front 0 do, and so on.

    A point beats another one if it is at least as good in both values and better in one; larger is better.

    >>> pareto_ranks([(1, 0), (0, 1), (0, 0), (1, 0)])
    [0, 0, 1, 0]

    Source: non-dominated sorting of Deb et al. (2002), NSGA-II.
    """
    ranks = [0] * len(points)
    left, front = sorted(range(len(points)), key=lambda place: points[place], reverse=True), 0
    while left:
        beaten = []
        last = points[left[0]]
        for place in left:
            if points[place][1] > last[1] or points[place] == last:
                ranks[place], last = front, points[place]
            else:
                beaten.append(place)
        left, front = beaten, front + 1
    return ranks
