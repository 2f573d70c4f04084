"""Rivals that can still win: this decides what is trained next, and claims nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from absgd.comparisons.block_variance import PriorVariance
from absgd.comparisons.claim_rules import Scores
from absgd.comparisons.score_table import Values, score_table

CANNOT_WIN_LEVEL = 0.05
"""One-sided: probability that a rival as good as the subject is left aside at one look."""


def cannot_win(
    subject: str, scores: Scores, rival: str, prior: PriorVariance | None, level: float = CANNOT_WIN_LEVEL
) -> bool:
    """Return whether a rival is so far behind the subject that training it further would not put it ahead.

    Args:
        subject: the candidate that the confirmation is about.
        scores: of both, on the pairs of the confirmation.
        rival: one of its rivals.
        prior: spread of paired differences on the pairs of the search; with one pair there is no other. None: unknown.
        level: one-sided, of the test that the rival is at least as good.
    """
    table_CP = score_table(scores, [subject, rival])
    variance_S, df_S = (np.array([value]) for value in prior or (0.0, 0.0))
    differences_SRP = (table_CP[0] - table_CP[1])[None, None]
    return bool(is_far_behind(differences_SRP, variance_S, df_S, level)[0, 0])


def is_far_behind(
    differences_SRP: Values, prior_variance_S: Values, prior_df_S: Values, level: float = CANNOT_WIN_LEVEL
) -> npt.NDArray[np.bool_]:
    """Return where rivals are far behind the subjects of S scenarios.

    Args:
        differences_SRP: subject minus rival; NaN: not both completed.
        prior_variance_S: of a paired difference, on the pairs of the search.
        prior_df_S: its degrees of freedom; 0: unknown.
        level: as for `cannot_win`.
    """
    from scipy import special  # slow to import, and loading runs does not need it

    known_SRP = np.isfinite(differences_SRP)
    n_SR = known_SRP.sum(axis=2)
    mean_SR = np.where(known_SRP, differences_SRP, 0.0).sum(axis=2) / np.maximum(n_SR, 1)
    squares_SR = (np.where(known_SRP, differences_SRP - mean_SR[..., None], 0.0) ** 2).sum(axis=2)
    df_SR = np.maximum(n_SR - 1, 0) + prior_df_S[:, None]
    variance_SR = (squares_SR + (prior_df_S * prior_variance_S)[:, None]) / np.maximum(df_SR, 1e-9)
    error_SR = np.sqrt(variance_SR / np.maximum(n_SR, 1))
    quantile_SR = -special.stdtrit(np.maximum(df_SR, 1e-9), level)
    is_far: npt.NDArray[np.bool_] = (n_SR > 0) & (df_SR > 0) & (error_SR > 0) & (mean_SR > quantile_SR * error_SR)
    return is_far
