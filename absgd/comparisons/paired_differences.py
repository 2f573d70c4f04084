"""Differences between the subject and its rivals on the seed pairs that both completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from absgd.comparisons.claim_rules import Scores

Values = npt.NDArray[np.float64]
EQUAL_WITHIN = 1e-12
"""Differences of scores that are as close as this are the same: the rest is rounding."""


def paired_differences(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Values:
    """Return ours minus theirs on the common pairs, by rising number of the pair."""
    common = sorted(ours.keys() & theirs.keys())
    return np.array([ours[pair] - theirs[pair] for pair in common], dtype=np.float64)


def score_table(subject: str, scores: Scores, rivals: Sequence[str]) -> Values:
    """Return scores_CP: a row for the subject, then one for each rival; a column for each pair; NaN: not completed."""
    names = [subject, *rivals]
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
