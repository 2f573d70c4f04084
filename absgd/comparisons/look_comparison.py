"""One look at the data: the subject against each rival that has no claim yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np

from absgd.comparisons.block_variance import PriorVariance
from absgd.comparisons.claim_rules import ClaimRules, RivalComparison, Scores
from absgd.comparisons.contrasts import contrasts, with_earlier_spread
from absgd.comparisons.look_claims import FINDINGS, claims_at_look
from absgd.comparisons.more_pairs import Dfs, pairs_needed
from absgd.comparisons.score_table import score_table


def compare_at_look(
    subject: str,
    scores: Scores,
    rivals: Sequence[str],
    rules: ClaimRules,
    look: int | None,
    settled: Collection[str] = (),
    with_need: bool = True,
    prior: PriorVariance | None = None,
    untested: Collection[str] = (),
) -> list[RivalComparison]:
    """Compare the subject with each rival that has no claim yet, and make the claims that the data allow.

    Each scenario has an equal part of the level. It is divided among the rivals without a claim (Holm): each claim
    leaves more for the others, at this look and later, and so does a rival that left because it cannot win. What a
    rival has of the level is spent over its pairs by `nominal_level`.

    Args:
        subject: the candidate that claims are about.
        scores: of the subject and the rivals; a missing pair is a run that was not completed.
        rivals: all rivals of the scenario, also those that are settled, or whose runs are still to come; all of them
            tell how much scores vary.
        rules: margin and level.
        look: the number of pairs trained so far; None if there is only this look, which then has all of the level.
        settled: rivals with a claim of an earlier look, which holds, and those that left because they cannot win.
        with_need: whether `pairs_needed` is worked out, which takes longer than everything else.
        prior: spread of paired differences on earlier pairs, those of the search; None: unknown.
        untested: rivals that have no more pairs than at the look before: their part of the level is spent, and nothing
            is claimed about them.

    Returns:
        One comparison for each of `rivals` that is not settled, in their order.
    """
    known = tuple((name, tuple(of_pairs.items())) for name, of_pairs in scores.items())
    names = tuple(rivals), frozenset(settled), frozenset(untested)
    return list(_compared(subject, known, *names, rules, look, with_need, prior))


@lru_cache(maxsize=512)  # a confirmation that is replayed repeats all of its looks but the last
def _compared(
    subject: str,
    known: tuple[tuple[str, tuple[tuple[int, float], ...]], ...],
    rivals: tuple[str, ...],
    settled: frozenset[str],
    untested: frozenset[str],
    rules: ClaimRules,
    look: int | None,
    with_need: bool,
    prior: PriorVariance | None,
) -> tuple[RivalComparison, ...]:
    scores = {name: dict(of_pairs) for name, of_pairs in known}
    variance_S, df_S = (np.array([value]) for value in prior or (0.0, 0.0))
    own = contrasts(score_table(scores, [subject, *rivals])[None])
    found = with_earlier_spread(own, variance_S, df_S)
    is_open = np.array([rival not in settled for rival in rivals], dtype=np.bool_)
    is_untested = np.array([rival in untested for rival in rivals], dtype=np.bool_)
    claims = claims_at_look(found, is_open[None], rules, look, is_untested[None])
    comparisons = []
    for place, rival in enumerate(rivals):
        if not is_open[place]:
            continue
        at = (0, place)
        n, finding = int(found.n_SR[at]), FINDINGS[claims.finding_SR[at]]
        difference, std, df = float(found.mean_SR[at]), float(found.std_SR[at]), float(found.df_SR[at])
        need = None
        if finding == "undecided" and n > 1 and with_need:
            dfs = Dfs(float(own.df_SR[at]), df - float(own.df_SR[at]))
            need = pairs_needed(difference, std, dfs, n, rules, float(claims.alpha_SR[at]), look)
        low, high, p_value = (float(one[at]) for one in (claims.low_SR, claims.high_SR, claims.p_value_SR))
        known_df = df if n > 1 else np.nan
        comparisons.append(RivalComparison(rival, n, difference, std, known_df, low, high, p_value, finding, need))
    return tuple(comparisons)
