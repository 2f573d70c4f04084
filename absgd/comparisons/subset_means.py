"""Exact intervals and p-values of a centre of symmetry from the means of all subsets: the test of all sign flips."""

from __future__ import annotations

import math

import numpy as np

from absgd.comparisons.score_table import EQUAL_WITHIN, Values

MOST_VALUES = 20
"""Most values whose subsets are counted; of more values the first ones are taken."""


def subset_means(values: Values) -> Values:
    """Return the means of all subsets that are not empty, sorted.

    >>> subset_means(np.array([1.0, 2.0])).tolist()
    [1.0, 1.5, 2.0]
    """
    sums, counts = np.zeros(1), np.zeros(1)
    for value in values:
        sums, counts = np.concatenate([sums, sums + value]), np.concatenate([counts, counts + 1])
    return np.sort(sums[1:] / counts[1:])


def sign_flip_p_value(values: Values) -> float:
    """Return the two-sided p-value of a centre of zero."""
    means = subset_means(values)
    tail = min(int((means <= EQUAL_WITHIN).sum()), int((means >= -EQUAL_WITHIN).sum())) + 1
    return min(1.0, float(tail * 2.0 ** (1 - len(values))))


def sign_flip_interval(values: Values, alpha: float) -> tuple[float, float]:
    """Return the interval of the centre with confidence of at least 1 - alpha; infinite where the values are too few.

    Each gap between neighbouring subset means has the centre with the same probability, 2^-n (Hartigan 1969,
    doi 10.1080/01621459.1969.10501057), for symmetric distributions of any shape; with ties at most.
    """
    left_out = math.floor(alpha / 2 * 2 ** len(values) * (1 + 1e-12))
    if left_out < 1:
        return -math.inf, math.inf
    means = subset_means(values)
    return float(means[left_out - 1]), float(means[-left_out])
