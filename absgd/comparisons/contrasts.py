"""Mean paired differences between the subject and its rivals, with their standard deviations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from absgd.comparisons.block_variance import block_variance
from absgd.comparisons.score_table import Values
from absgd.comparisons.variance_moderation import moderated

MOST_EARLIER_DF = 8.0
"""Most degrees of freedom of the spread that earlier pairs have shown: however many they are, it is that of other
candidates and of another score, and variances differ."""


class Contrasts(NamedTuple):
    """The subject against R rivals in each of S scenarios; NaN where there are no pairs, for `std` fewer than two."""

    differences_SRP: Values
    n_SR: Values
    mean_SR: Values
    std_SR: Values
    """Standard deviation of a paired difference."""
    df_SR: Values
    """Its degrees of freedom; 0 where there is none."""


def contrasts(scores_SCP: Values) -> Contrasts:
    """Compare the first candidate of each scenario with all others.

    The variance of a paired difference is the larger of two estimates: that of the rival's own differences, moderated
    towards those of the other rivals, and the common one of the block design. The first knows how much noise the
    subject has, which all differences share; the second, from all candidates, keeps the first from being small by
    chance. The degrees of freedom are those of the mean of R paired variances of equal expectation, any two of which
    have a correlation of 1/4 because they share the subject: R / (1 + (R - 1) / 4) times those of one.

    Args:
        scores_SCP: scores, larger is better; candidate 0 is the subject; NaN: not completed.
    """
    differences_SRP = scores_SCP[:, :1] - scores_SCP[:, 1:]
    known_SRP = np.isfinite(differences_SRP)
    n_SR = known_SRP.sum(axis=2).astype(np.float64)
    filled_SRP = np.where(known_SRP, differences_SRP, 0.0)
    mean_SR = np.divide(filled_SRP.sum(axis=2), n_SR, out=np.full_like(n_SR, np.nan), where=n_SR > 0)
    own_df_SR = np.maximum(n_SR - 1, 0)
    squares_SR = (np.where(known_SRP, filled_SRP - mean_SR[..., None], 0.0) ** 2).sum(axis=2)
    own_SR = np.divide(squares_SR, own_df_SR, out=np.full_like(n_SR, np.nan), where=own_df_SR > 0)

    shared_S = 1 + np.maximum((own_df_SR > 0).sum(axis=1) - 1, 0) / 4
    most_df_S = own_df_SR.sum(axis=1) / shared_S
    num_S = (own_df_SR > 0).sum(axis=1)
    df_SR = np.minimum(own_df_SR * (num_S / shared_S)[:, None], np.maximum(most_df_S[:, None], own_df_SR))
    variance_SR = moderated(own_SR, own_df_SR, most_df_S)
    compared_SCP = np.where(np.isfinite(scores_SCP[:, :1]), scores_SCP, np.nan)
    common_S, _ = block_variance(compared_SCP)
    variance_SR = np.where(np.isnan(variance_SR), np.nan, np.fmax(variance_SR, common_S[:, None]))
    return Contrasts(differences_SRP, n_SR, mean_SR, np.sqrt(variance_SR), df_SR)


def with_earlier_spread(found: Contrasts, variance_S: Values, df_S: Values) -> Contrasts:
    """Return the contrasts with the spread of earlier pairs added to that of each rival with two pairs or more.

    Both variances count with their degrees of freedom, the earlier one with `MOST_EARLIER_DF` at most, but the result
    is never less than what the pairs themselves show.

    Args:
        found: the contrasts of the pairs themselves.
        variance_S: of a paired difference, on earlier pairs.
        df_S: its degrees of freedom; 0 where no earlier pairs are known.
    """
    earlier_df_S1 = np.minimum(df_S, MOST_EARLIER_DF)[:, None]
    df_SR = found.df_SR + earlier_df_S1
    squares_SR = found.df_SR * found.std_SR**2 + earlier_df_S1 * variance_S[:, None]
    pooled_SR = np.divide(squares_SR, df_SR, out=np.full_like(df_SR, np.nan), where=df_SR > 0)
    std_SR = np.maximum(found.std_SR, np.sqrt(pooled_SR))
    return found._replace(std_SR=std_SR, df_SR=np.where(np.isnan(std_SR), found.df_SR, df_SR))
