"""The variance of a paired difference from the block design over candidates and seed pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from absgd.comparisons.claim_rules import Scores


class PriorVariance(NamedTuple):
    """What earlier pairs say of the spread of paired differences."""

    variance: float
    """Of the difference of two candidates on one pair."""
    df: float
    """Degrees of freedom; positive."""


def prior_variance(scores: Scores) -> PriorVariance | None:
    """Estimate the variance of a paired difference from any table of candidates and pairs, complete or not.

    Scores are taken as the sum of a candidate's mean, a pair's effect and noise of one variance; the difference of two
    candidates has twice that variance.

    Args:
        scores: of the pairs of the search; candidates may lack pairs.

    Returns:
        The variance; None where the table leaves no degree of freedom, or shows no spread at all.
    """
    cells = [(name, pair, score) for name, own in scores.items() for pair, score in own.items()]
    names = sorted({name for name, _, _ in cells})
    pairs = sorted({pair for _, pair, _ in cells})
    if not cells:
        return None
    design = np.zeros((len(cells), len(names) + len(pairs)))
    for row, (name, pair, _) in enumerate(cells):
        design[row, names.index(name)] = design[row, len(names) + pairs.index(pair)] = 1
    values = np.array([score for _, _, score in cells], dtype=np.float64)
    effects, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    df = len(cells) - int(rank)
    squares = float(((values - design @ effects) ** 2).sum())
    if df < 1 or squares <= 1e-24:
        return None
    return PriorVariance(2 * squares / df, float(df))
