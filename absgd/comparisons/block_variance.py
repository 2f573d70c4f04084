"""The variance of a paired difference from the block design over candidates and seed pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from absgd.comparisons.claim_rules import Scores
from absgd.comparisons.score_table import Values, score_table


class PriorVariance(NamedTuple):
    """The spread of paired differences on earlier pairs."""

    variance: float
    """Of the difference of two candidates on one pair."""
    df: float
    """Degrees of freedom; positive."""


def block_variance(scores_SCP: Values) -> tuple[Values, Values]:
    """Estimate the common variance of a paired difference in each of S scenarios by least squares.

    Scores are taken as the sum of a candidate's mean, a pair's effect and noise of one variance; the difference of two
    candidates has twice that variance. The table may have gaps.

    Args:
        scores_SCP: scores of C candidates on P pairs; NaN: not completed.

    Returns:
        variance_S: NaN where no degree of freedom is left; df_S.
    """
    known_SCP = np.isfinite(scores_SCP)
    weights_SCP = known_SCP.astype(np.float64)
    total_S = np.maximum(weights_SCP.sum(axis=(1, 2), keepdims=True), 1)
    centre_S = np.where(known_SCP, scores_SCP, 0.0).sum(axis=(1, 2), keepdims=True) / total_S
    values_SCP = np.where(known_SCP, scores_SCP - centre_S, 0.0)
    per_pair_SP = weights_SCP.sum(axis=1)
    fraction_SCP = weights_SCP / np.maximum(per_pair_SP, 1)[:, None]
    own_SC = weights_SCP.sum(axis=2)
    # Candidates' effects after those of pairs are eliminated; the effects of pairs follow from them.
    normal_SCC = np.eye(own_SC.shape[1]) * own_SC[..., None] - fraction_SCP @ weights_SCP.transpose(0, 2, 1)
    pair_mean_SP = values_SCP.sum(axis=1) / np.maximum(per_pair_SP, 1)
    right_SC = values_SCP.sum(axis=2) - (weights_SCP @ pair_mean_SP[..., None])[..., 0]
    inverse_SCC = np.linalg.pinv(normal_SCC, rcond=1e-9, hermitian=True)
    effects_SC = (inverse_SCC @ right_SC[..., None])[..., 0]
    pair_effects_SP = pair_mean_SP - (fraction_SCP * effects_SC[..., None]).sum(axis=1)
    residuals_SCP = np.where(known_SCP, values_SCP - effects_SC[..., None] - pair_effects_SP[:, None], 0.0)
    rank_S = np.rint(np.trace(inverse_SCC @ normal_SCC, axis1=1, axis2=2)) + (per_pair_SP > 0).sum(axis=1)
    df_S = weights_SCP.sum(axis=(1, 2)) - rank_S
    squares_S = (residuals_SCP**2).sum(axis=(1, 2))
    return np.where(df_S > 0, 2 * squares_S / np.maximum(df_S, 1), np.nan), df_S


def search_spread(gains: Scores, subject: str) -> PriorVariance | None:
    """Estimate from the best configurations of a search how much paired differences vary.

    It is the median variance of the gains of its finalists, those on the most pairs or one pair less, and no less than
    the variance of the subject's own gains, whose noise all differences will have. Configurations that left earlier do
    not count, and a finalist that collapsed on one pair does not move a median of three: that some configurations are
    unsteady says nothing about those compared. With one or two finalists it is the subject's own variance.

    Args:
        gains: configuration -> its gain over the control of each pair on which both were completed.
        subject: the configuration that was chosen.

    Returns:
        The variance; None where the subject has no two pairs, or none shows any spread.
    """
    most = max(map(len, gains.values()), default=0)
    finalists = [list(own.values()) for own in gains.values() if len(own) >= max(2, most - 1)]
    own_gains = list(gains.get(subject, {}).values())
    if len(own_gains) < 2:
        return None
    variance, df = float(np.var(own_gains, ddof=1)), len(own_gains) - 1
    if len(finalists) > 2:
        variances = sorted(float(np.var(own, ddof=1)) for own in finalists)
        variance, df = max(variance, variances[(len(variances) - 1) // 2]), sum(len(own) - 1 for own in finalists)
    return PriorVariance(variance, float(df)) if variance > 1e-24 else None


def prior_variance(scores: Scores) -> PriorVariance | None:
    """Estimate the variance of a paired difference from any table of candidates and pairs, complete or not.

    Args:
        scores: candidates may lack pairs.

    Returns:
        The variance; None where the table leaves no degree of freedom, or shows no spread at all.
    """
    table_CP = score_table(scores, list(scores))
    if not table_CP.size:
        return None
    variance_S, df_S = block_variance(table_CP[None])
    if df_S[0] < 1 or variance_S[0] <= 1e-24:
        return None
    return PriorVariance(float(variance_S[0]), float(df_S[0]))
