"""The level at which a rival is tested after n pairs: alpha spending over looks, without a planned last look."""

from __future__ import annotations

import functools
import math

import numpy as np

from absgd.comparisons.score_table import Values

HALF_SPENT_AFTER = 3
"""Number of pairs after which half of what may be spent is spent."""
SPENT_AT_MOST = 0.75
"""Share of alpha that is spent over all looks: t statistics of few pairs change more from look to look than the normal
ones whose levels are computed, and cross their bounds more often."""
LAST_EXACT = 30
"""Number of pairs up to which the correlation of looks is used; later looks pay in full for what they spend."""
_STEP = 0.1
"""Step of the grid on which the sum of differences is followed, in its standard deviations for one pair."""


def spent_by(n: int) -> float:
    """Return the share of alpha that is spent by the test after `n` pairs; it tends to `SPENT_AT_MOST`.

    >>> [round(spent_by(n), 2) for n in (1, 2, 3, 5, 8, 20)]
    [0.0, 0.15, 0.38, 0.6, 0.69, 0.74]
    """
    squared = max(n - 1, 0) ** 2
    return SPENT_AT_MOST * squared / (squared + (HALF_SPENT_AFTER - 1) ** 2)


def nominal_level(alpha: Values | float, n: Values | float, look: int | None) -> Values:
    """Return the two-sided level of the test after `n` pairs.

    A rival is tested after each of its pairs from the second on. The probability of a first wrong claim after n pairs
    is what `spent_by` adds there, so the total never exceeds `alpha`, however many pairs there will be: more may be
    added at any time. Levels are computed for normal differences and applied to p-values of Student's t.

    Args:
        alpha: the probability of a wrong claim about this rival that may be spent over all looks.
        n: pairs of this rival; below two nothing is spent.
        look: None if this is the only look, with all of `alpha`.

    Source: Lan and DeMets 1983 (doi 10.2307/2336502); the levels by the recursion of Armitage, McPherson and Rowe 1969
    (doi 10.2307/2343787), applied to t as in Jennison and Turnbull 2000, chapter 11. Maurer and Bretz 2013
    (doi 10.1080/19466315.2013.807748) show that what a rival has of alpha may grow as others are claimed.
    """
    alphas, pairs = np.broadcast_arrays(np.asarray(alpha, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if look is None:
        return np.where(pairs < 2, 0.0, alphas)
    levels = np.zeros(alphas.shape)
    for value in np.unique(alphas):
        is_this = alphas == value
        counts, place = np.unique(pairs[is_this].astype(np.int64), return_inverse=True)
        levels[is_this] = np.array([_level(float(value), int(count)) for count in counts])[place]
    return levels


@functools.lru_cache(maxsize=1 << 14)
def _level(alpha: float, n: int) -> float:
    if n < 2:
        return 0.0
    if n > LAST_EXACT:
        return alpha * (spent_by(n) - spent_by(n - 1))
    return _exact_levels(alpha, min(LAST_EXACT, 10 * math.ceil(n / 10)))[n]


@functools.lru_cache(maxsize=256)
def _exact_levels(alpha: float, last: int) -> tuple[float, ...]:
    """Return the levels of the tests after 0, 1, ..., `last` pairs.

    The density of the sum of n standard normal differences, of those sequences that no test has stopped, is followed
    on a grid; each boundary is where the mass beyond it is what is spent.
    """
    from scipy import special  # slow to import, and loading runs does not need it
    from scipy.optimize import brentq

    levels = [0.0, 0.0]
    points, mass = np.zeros(1), np.ones(1)  # of the sum of the differences of earlier pairs
    scale = math.sqrt(2)  # of what the pairs since then add to it
    for n in range(2, last + 1):
        spent = alpha * (spent_by(n) - spent_by(n - 1))

        def excess(
            bound: float, points: Values = points, mass: Values = mass, scale: float = scale, spent: float = spent
        ) -> float:
            beyond = special.ndtr((points - bound) / scale) + special.ndtr((-bound - points) / scale)
            return float(mass @ beyond) - spent

        bound = float(brentq(excess, 0.1, 12 * math.sqrt(n), xtol=1e-9))
        levels.append(2 * float(special.ndtr(-bound / math.sqrt(n))))
        nodes, weights = _simpson(bound)
        density = np.exp(-(((nodes[:, None] - points) / scale) ** 2) / 2) @ mass / (scale * math.sqrt(2 * math.pi))
        points, mass, scale = nodes, density * weights, 1.0
    return tuple(levels)


def _simpson(bound: float) -> tuple[Values, Values]:
    """Return nodes and weights of Simpson's rule between -bound and bound."""
    count = 2 * math.ceil(bound / _STEP / 2) * 2 + 1
    nodes = np.linspace(-bound, bound, count)
    weights = np.where(np.arange(count) % 2 == 1, 4.0, 2.0)
    weights[[0, -1]] = 1.0
    return nodes, weights * (nodes[1] - nodes[0]) / 3
