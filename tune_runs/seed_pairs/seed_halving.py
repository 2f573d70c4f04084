"""Halving over the seed pairs of a search: how many configurations go on to each further pair, and which.

Nothing here reads records: `benchmarks.seed_plans` replays the same functions over complete curves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from absgd.comparisons import prior_variance
from tune_runs.recording.pair_scores import order_over_pairs

LEAST_SIZE = 2
"""Configurations that go on to every further pair, where as many are left: one alone needs no comparison."""
STANDARD_ERRORS = 1.0
"""A configuration that is further behind the best, in standard errors of a difference, is left aside."""


def planned_sizes(num_trials: int, pairs: int, reduction_factor: int) -> tuple[int, ...]:
    """Return the most configurations that train on each pair after the first.

    >>> planned_sizes(32, 4, 3), planned_sizes(16, 4, 3), planned_sizes(32, 1, 3)
    ((10, 3, 2), (5, 2, 2), ())
    """
    sizes = [num_trials]
    for _ in range(pairs - 1):
        sizes.append(max(LEAST_SIZE, sizes[-1] // reduction_factor))
    return tuple(sizes[1:])


def going_on(
    gains: Mapping[int, Sequence[float]],
    val_losses: Mapping[int, float | None],
    size: int,
    standard_errors: float = STANDARD_ERRORS,
) -> list[int]:
    """Return the configurations that go on to the next pair, best first; one alone is chosen, and trains no further.

    Those on the most pairs so far are ranked: fewer lost runs first, then the higher mean gain, then the lower
    validation loss, then the earlier trial. The best `size` go on, except those that are clearly behind: with a lost
    run where the best has none, or, from the second pair on, `standard_errors` behind the best. The standard error
    comes from all configurations and pairs, by `prior_variance`.

    Args:
        gains: trial -> its gain over the plain control on pair 0, 1, ..., larger is better; NaN: the run was lost.
        val_losses: trial -> validation loss at the last epoch of pair 0.
        size: of `planned_sizes`, for the next pair.
        standard_errors: other than that of a search in benchmarks only; infinite: none leaves for its mean.
    """
    num_pairs = max(map(len, gains.values()), default=0)
    live = [number for number, own in gains.items() if len(own) == num_pairs]
    places = {number: order_over_pairs(gains[number], val_losses[number], number) for number in live}
    order = sorted(live, key=places.__getitem__)
    lead = standard_errors * _standard_error(gains, num_pairs)
    return [number for number in order[:size] if not _clearly_behind(places[order[0]], places[number], lead)]


def _clearly_behind(best: Sequence[float], other: Sequence[float], lead: float) -> bool:
    """Whether a trial has lost more runs than the best, or its mean gain is further behind than `lead`."""
    return other[0] > best[0] or other[1] - best[1] > lead


def _standard_error(gains: Mapping[int, Sequence[float]], num_pairs: int) -> float:
    """Return the standard error of a difference of two means over `num_pairs` pairs; infinite where it is unknown."""
    if num_pairs < 2:  # before any is replicated
        return math.inf
    table = {
        str(number): {pair: gain for pair, gain in enumerate(own) if not math.isnan(gain)}
        for number, own in gains.items()
        if len(own) > 1
    }
    found = prior_variance(table)
    return math.sqrt(found.variance / num_pairs) if found else math.inf
