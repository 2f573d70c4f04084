"""Variances moderated towards the common one: empirical Bayes by the method of moments, as in limma."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from absgd.comparisons.paired_differences import Values


class VariancePrior(NamedTuple):
    """The scaled inverse chi-square distribution that variances are taken to come from."""

    variance: float
    """s0^2, its location."""
    df: float
    """d0, its degrees of freedom; infinite where variances differ no more than chance lets them, 0 for no prior."""


def trigamma_inverse(value: float) -> float:
    """Return x with trigamma(x) = value, for positive values, by Newton's method on 1 / trigamma.

    Source: Smyth 2004 (doi 10.2202/1544-6115.1027), appendix.

    >>> round(trigamma_inverse(math.pi**2 / 6), 9)
    1.0
    """
    from scipy import special  # slow to import, and loading runs does not need it

    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x


def variance_prior(variances_R: Values, dfs_R: Values) -> VariancePrior:
    """Estimate the prior of variances by matching mean and variance of their logarithms.

    Args:
        variances_R: sample variances, positive; at least two, else there is no prior.
        dfs_R: their degrees of freedom, positive.

    Source: Smyth 2004 (doi 10.2202/1544-6115.1027), section 6.2; fitFDist of limma.
    """
    from scipy import special  # as above

    if len(variances_R) < 2:
        return VariancePrior(math.nan, 0.0)
    half_R = dfs_R / 2
    logs_R = np.log(variances_R) - special.digamma(half_R) + np.log(half_R)
    spread = float(logs_R.var(ddof=1) - special.polygamma(1, half_R).mean())
    if spread <= 0:
        return VariancePrior(float(variances_R.mean()), math.inf)
    half = trigamma_inverse(spread)
    return VariancePrior(math.exp(logs_R.mean() + float(special.digamma(half)) - math.log(half)), 2 * half)


def moderated(variance: float, df: float, prior: VariancePrior, most_df: float) -> tuple[float, float]:
    """Return the posterior variance and its degrees of freedom.

    Args:
        variance, df: a sample variance.
        prior: of its kind.
        most_df: largest degrees of freedom that the prior may count, since it is itself estimated.
    """
    known = min(prior.df, most_df)
    if known <= 0:
        return variance, df
    return (known * prior.variance + df * variance) / (known + df), known + df
