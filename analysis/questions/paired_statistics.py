"""Paired differences with intervals and p-values, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""Confidence level of intervals."""


class PairedDifference(NamedTuple):
    """A mean difference with its uncertainty; NaN where that cannot be computed."""

    n: int
    """Number of pairs."""
    difference: float
    """Mean over the pairs."""
    std: float
    """Standard deviation over the pairs, with n - 1."""
    low: float
    """Lower bound of the interval."""
    high: float
    """Upper bound of the interval."""
    p_value: float
    """Two-sided."""


def paired(differences: Sequence[float], level: float = LEVEL) -> PairedDifference:
    """Apply Student's t-test for paired samples.

    One pair has neither interval nor p-value. Nor do pairs whose differences are all equal but not zero: zero spread
    means that the scores are coarse, not that the difference is certain.

    Args:
        differences: one per pair, finite.
        level: confidence level of the interval.

    >>> paired([0.01, 0.02, 0.03]).difference
    0.02
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0:
        return PairedDifference(0, *[math.nan] * 5)
    mean = float(values.mean())
    if n == 1:
        return PairedDifference(1, mean, *[math.nan] * 4)
    std = float(values.std(ddof=1))
    if np.ptp(values) <= 1e-12:
        if abs(mean) <= 1e-12:
            return PairedDifference(n, 0.0, 0.0, 0.0, 0.0, 1.0)
        return PairedDifference(n, mean, 0.0, *[math.nan] * 3)
    from scipy import stats  # slow to import, and loading runs does not need it

    result = stats.ttest_1samp(values, 0.0)
    low, high = result.confidence_interval(level)
    return PairedDifference(n, mean, std, float(low), float(high), float(result.pvalue))


def half_width(n: int, std: float, level: float) -> float:
    """Return half the width of Student's interval of a mean over `n` values with sample deviation `std`."""
    from scipy import stats  # as above

    return float(stats.t.ppf((1 + level) / 2, n - 1)) * std / math.sqrt(n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple tests by Holm's method; a NaN counts as no test.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    asked = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for place, (p, index) in enumerate(asked):
        largest = max(largest, min(1.0, p * (len(asked) - place)))
        corrected[index] = largest
    return corrected
