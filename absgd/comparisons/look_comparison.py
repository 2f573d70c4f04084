"""One look at the data: the subject against each rival without a claim, by Holm's method with sticky claims."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from absgd.comparisons.alpha_spending import nominal_level
from absgd.comparisons.claim_rules import ClaimRules, Finding, RivalComparison, Scores
from absgd.comparisons.more_pairs import pairs_needed
from absgd.comparisons.paired_differences import EQUAL_WITHIN, Values, is_coarse, paired_differences
from absgd.comparisons.subset_means import MOST_VALUES, sign_flip_interval, sign_flip_p_value
from absgd.comparisons.variance_moderation import moderated, variance_prior


class _Contrast(NamedTuple):
    """The subject against a rival, before any level is applied."""

    rival: str
    values: Values
    difference: float
    std: float
    df: float

    @property
    def n(self) -> int:
        return len(self.values)


def compare_at_look(
    subject: str,
    scores: Scores,
    rivals: Sequence[str],
    rules: ClaimRules,
    look: int | None,
    settled: Collection[str] = (),
) -> list[RivalComparison]:
    """Compare the subject with each rival that has no claim yet, and make the claims that the data allow.

    Each scenario has an equal part of the level. It is divided among the rivals without a claim (Holm): each claim
    leaves more for the others, at this look and later. A rival that left without a claim keeps its share. What a rival
    has of the level is spent over its pairs by `nominal_level`.

    Args:
        subject: the candidate that claims are about.
        scores: of the subject and the rivals; a missing pair is a run that was not completed.
        rivals: all rivals of the scenario, also those that are settled, that left, or whose runs are still to come.
        rules: margin and level.
        look: the number of pairs trained so far; None if there is only this look, which then has all of the level.
        settled: rivals with a claim of an earlier look, which holds.

    Returns:
        One comparison for each of `rivals` that is not settled, in their order.
    """
    open_rivals = [rival for rival in rivals if rival not in set(settled)]
    contrasts = _contrasts(subject, scores, rivals)
    undecided = {rival: contrasts[rival] for rival in open_rivals}
    found: dict[str, RivalComparison] = {}
    while undecided:
        alpha = rules.scenario_level / len(undecided)
        results = {rival: _compared(one, rules, alpha, look) for rival, one in undecided.items()}
        claimed = {rival: one for rival, one in results.items() if one.finding != "undecided"}
        found |= claimed or {rival: _with_need(one, rules, alpha, look) for rival, one in results.items()}
        undecided = {rival: one for rival, one in undecided.items() if rival not in found}
    return [found[rival] for rival in open_rivals]


def _contrasts(subject: str, scores: Scores, rivals: Sequence[str]) -> dict[str, _Contrast]:
    ours = scores.get(subject, {})
    values = {rival: paired_differences(ours, scores.get(rival, {})) for rival in rivals}
    known = [one for one in values.values() if len(one) > 1 and float(one.var(ddof=1)) > EQUAL_WITHIN**2]
    variances = np.array([one.var(ddof=1) for one in known])
    dfs = np.array([len(one) - 1 for one in known], dtype=np.float64)
    prior = variance_prior(variances, dfs)
    most_df = float(dfs.sum()) / (1 + (len(dfs) - 1) / 4)  # all differences share the subject
    contrasts = {}
    for rival, own in values.items():
        mean = float(own.mean()) if len(own) else math.nan
        variance, df = math.nan, 0.0
        if len(own) > 1:
            variance, df = moderated(float(own.var(ddof=1)), len(own) - 1.0, prior, most_df)
        contrasts[rival] = _Contrast(rival, own, mean, math.sqrt(variance), df)
    return contrasts


def _compared(one: _Contrast, rules: ClaimRules, alpha: float, look: int | None) -> RivalComparison:
    level = nominal_level(alpha, one.n, look)
    if one.n < 2:
        return RivalComparison(
            one.rival, one.n, one.difference, math.nan, math.nan, math.nan, math.nan, math.nan, "undecided", None
        )
    low, high, p_value = _interval(one, level)
    corrected = min(1.0, p_value * rules.level / level)
    finding = _finding(low, high, rules.margin)
    return RivalComparison(one.rival, one.n, one.difference, one.std, one.df, low, high, corrected, finding, None)


def _interval(one: _Contrast, level: float) -> tuple[float, float, float]:
    """Interval and p-value at a level, by Student's t, or by all sign flips where the differences are too coarse."""
    from scipy import special  # slow to import, and loading runs does not need it

    if one.std <= EQUAL_WITHIN or (is_coarse(one.values) and one.n <= MOST_VALUES):
        return *sign_flip_interval(one.values, level), sign_flip_p_value(one.values)
    error = one.std / math.sqrt(one.n)
    half = -float(special.stdtrit(one.df, level / 2)) * error
    p_value = 2 * float(special.stdtr(one.df, -abs(one.difference) / error))
    return one.difference - half, one.difference + half, p_value


def _finding(low: float, high: float, margin: float) -> Finding:
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equivalent" if -margin < low and high < margin else "undecided"


def _with_need(one: RivalComparison, rules: ClaimRules, alpha: float, look: int | None) -> RivalComparison:
    if one.n < 2:
        return one
    return one._replace(pairs_needed=pairs_needed(one.difference, one.std, one.df, one.n, rules, alpha, look))
