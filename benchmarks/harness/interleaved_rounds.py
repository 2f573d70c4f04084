"""Interleaved rounds of timing, and the quartiles of what they measure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeVar

Contender = TypeVar("Contender")
Quartiles = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""


def interleaved_rounds(
    groups: Sequence[Sequence[Contender]], rounds: int, warm_up: int = 1
) -> Iterator[tuple[Contender, bool]]:
    """Yield every contender once per round, and whether that round counts.

    The order is random: groups are shuffled in each round, and contenders within their group, so that those of a group
    run next to each other and other work on the machine affects all alike.

    Args:
        groups: contenders, grouped by what is compared with what.
        rounds: rounds that count.
        warm_up: rounds before them that do not.

    >>> sorted(interleaved_rounds([["peer"], ["ours", "bound"]], rounds=1, warm_up=0))
    [('bound', True), ('ours', True), ('peer', True)]
    """
    generator = random.Random(0)
    for number in range(warm_up + rounds):
        for group in generator.sample(groups, len(groups)):
            for contender in generator.sample(group, len(group)):
                yield contender, number >= warm_up


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return lower quartile, median and upper quartile of at least two values.

    >>> quartiles([1.0, 2.0, 3.0])
    (1.0, 2.0, 3.0)
    """
    low, median, high = statistics.quantiles(values, n=4)
    return low, median, high


def quartile_cell(values: Quartiles, form: str) -> str:
    """Format a median, with its quartiles in brackets, for a table.

    >>> quartile_cell((1.0, 2.0, 3.0), ".1f")
    '2.0 (1.0 to 3.0)'
    """
    low, median, high = values
    return f"{median:{form}} ({low:{form}} to {high:{form}})"
