"""Variances moderated towards the common one: empirical Bayes by the method of moments, as in limma."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from absgd.comparisons.score_table import Values


class VariancePrior(NamedTuple):
    """The scaled inverse chi-square distributions that the variances of each of S scenarios are taken to come from."""

    variance_S: Values
    """s0^2, the location."""
    df_S: Values
    """d0, the degrees of freedom; infinite where variances differ no more than chance lets them, 0 for no prior."""


def trigamma_inverse(values: Values) -> Values:
    """Return x with trigamma(x) = value, for positive values, by Newton's method on 1 / trigamma.

    Source: Smyth 2004 (doi 10.2202/1544-6115.1027), appendix.

    >>> trigamma_inverse(np.array([np.pi**2 / 6])).round(9).tolist()
    [1.0]
    """
    from scipy import special  # slow to import, and loading runs does not need it

    bounded = np.clip(values, 1e-6, 1e7)
    x = 0.5 + 1 / bounded
    for _ in range(25):
        trigamma, slope = special.zeta(2, x), -2 * special.zeta(3, x)  # as `polygamma`, which takes far longer
        before, x = x, x + trigamma * (1 - trigamma / bounded) / slope
        if np.array_equal(x, before):
            break
    return np.where(values > 1e7, 1 / np.sqrt(values), np.where(values < 1e-6, 1 / values, x))


def variance_prior(variances_SR: Values, dfs_SR: Values) -> VariancePrior:
    """Estimate the prior of the variances of each scenario by matching mean and variance of their logarithms.

    Args:
        variances_SR: sample variances; those that are not positive take no part.
        dfs_SR: their degrees of freedom.

    Returns:
        The prior; without weight (df 0) where fewer than two variances take part.

    Source: Smyth 2004 (doi 10.2202/1544-6115.1027), section 6.2; fitFDist of limma.
    """
    from scipy import special  # as above

    used_SR = (variances_SR > 0) & (dfs_SR > 0)
    count_S = used_SR.sum(axis=1)
    half_U, place_SR = np.unique(np.where(used_SR, dfs_SR, 2.0) / 2, return_inverse=True)
    place_SR = place_SR.reshape(used_SR.shape)
    positive_SR = np.where(used_SR, variances_SR, 1.0)

    def mean(values_SR: Values) -> Values:
        mean_S: Values = np.where(used_SR, values_SR, 0.0).sum(axis=1) / np.maximum(count_S, 1)
        return mean_S

    logs_SR = np.log(positive_SR) - (special.digamma(half_U) - np.log(half_U))[place_SR]
    centre_S = mean(logs_SR)
    scatter_S = mean((logs_SR - centre_S[:, None]) ** 2) * count_S / np.maximum(count_S - 1, 1)
    spread_S = scatter_S - mean(special.polygamma(1, half_U)[place_SR])
    differ_S = spread_S > 0
    half_S = np.ones_like(spread_S)
    half_S[differ_S] = trigamma_inverse(spread_S[differ_S])
    located_S = np.exp(centre_S + special.digamma(half_S) - np.log(half_S))
    return VariancePrior(
        np.where(differ_S, located_S, mean(positive_SR)),
        np.where(count_S < 2, 0.0, np.where(differ_S, 2 * half_S, np.inf)),
    )


def moderated(variances_SR: Values, dfs_SR: Values, most_df_S: Values) -> Values:
    """Return the posterior variances under the prior of each scenario.

    Args:
        variances_SR, dfs_SR: as for `variance_prior`; NaN where there is no variance.
        most_df_S: largest degrees of freedom that the prior may count, since it is itself estimated.
    """
    prior = variance_prior(np.nan_to_num(variances_SR), dfs_SR)
    known_S1 = np.minimum(prior.df_S, most_df_S)[:, None]
    total_SR = known_S1 + dfs_SR
    weighted_SR = known_S1 * prior.variance_S[:, None] + dfs_SR * variances_SR
    return np.divide(weighted_SR, total_SR, out=np.full_like(weighted_SR, np.nan), where=dfs_SR > 0)
