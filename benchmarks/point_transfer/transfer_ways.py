"""Ways to take points of another scenario: at which moment, and which of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN

Moment = Literal["never", "halfway", "first"]
Source = Literal["neighbour", "unrelated", "misleading"]
Point = TypeVar("Point")


class TransferWay(NamedTuple):
    """A way to take points."""

    moment: Moment
    """`halfway`: scenarios are searched side by side, as they are now, and exchange points when half of the trials are
    done; `first`: the other search is done before this one begins."""
    num_points: int = 0
    source: Source = "neighbour"
    """`neighbour`: its best points; `unrelated`: random ones of its points; `misleading`: its worst ones."""

    def __str__(self) -> str:
        if self.moment == "never":
            return "without"
        kind = {"neighbour": "best", "unrelated": "random", "misleading": "worst"}[self.source]
        return f"{self.moment}, {kind} {self.num_points}"

    def num_done(self, num_trials: int) -> int:
        """Return how many trials of the other search are done when its points are taken."""
        return {"never": 0, "halfway": num_trials // 2, "first": num_trials}[self.moment]

    def place(self, num_trials: int) -> int:
        """Return how many trials of its own a scenario draws before it takes points."""
        return num_trials // 2 if self.moment == "halfway" else 0


PLAN = dataclasses.replace(DEFAULT_PLAN, name="default on three pairs", pairs=3)
"""Plan of the pairs of a search: of the four seeds of the curves one is held out."""
WITHOUT = TransferWay("never")
WAYS = (
    WITHOUT,
    TransferWay("halfway", 3),
    TransferWay("first", 1),
    TransferWay("first", 3),
    TransferWay("first", 5),
    TransferWay("first", 3, "unrelated"),
    TransferWay("first", 3, "misleading"),
)
"""The ways to compare."""
KNOWN: tuple[Mapping[str, float], ...] = (
    {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5},
    {"lam": 3.0, "gamma": 0.45, "ab_alpha": 0.3},
)
"""The authors' points, which the shipped spaces enqueue, with a late switch."""


def with_points_at(own: Sequence[Point], place: int, taken: Sequence[Point], num_trials: int) -> list[Point]:
    """Return the trials of a search that tries `taken` after `place` trials of its own, each once.

    >>> with_points_at([1, 2, 3, 4], 2, [2, 9], 4)
    [1, 2, 9, 3]
    """
    before = list(own[:place])
    between = [point for point in taken if point not in before]
    after = [point for point in own[place:] if point not in between]
    return [*before, *between, *after][:num_trials]
