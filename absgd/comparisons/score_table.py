"""Scores of candidates as a table over seed pairs, and when differences between them count as equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from absgd.comparisons.claim_rules import Scores

Values = npt.NDArray[np.float64]
EQUAL_WITHIN = 1e-12
"""Differences of scores that are as close as this are the same: the rest is rounding."""


def score_table(scores: Scores, names: Sequence[str]) -> Values:
    """Return scores_CP: a row for each name, a column for each pair that one of them has; NaN: not completed."""
    pairs = sorted({pair for name in names for pair in scores.get(name, {})})
    table_CP = np.full((len(names), len(pairs)), np.nan)
    for row, name in enumerate(names):
        own = scores.get(name, {})
        table_CP[row] = [own.get(pair, np.nan) for pair in pairs]
    return table_CP


def is_coarse(differences: Values) -> bool:
    """Whether two or more differences take so few values that their spread says little: one of two, or two of more.

    >>> is_coarse(np.array([0.02, 0.02, 0.04])), is_coarse(np.array([0.021, 0.019, 0.043]))
    (True, False)
    """
    steps = np.diff(np.sort(differences))
    return len(differences) > 1 and 1 + int((steps > EQUAL_WITHIN).sum()) < min(3, len(differences))
