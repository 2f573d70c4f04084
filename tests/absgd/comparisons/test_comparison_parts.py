"""The parts of a comparison: moderation, block design, spending, sign flips, leaving, pairs needed, error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from absgd.comparisons import (
    ClaimRules,
    PriorVariance,
    cannot_win,
    nominal_level,
    pairs_needed,
    prior_variance,
    search_spread,
)
from absgd.comparisons.alpha_spending import SPENT_AT_MOST, spent_by
from absgd.comparisons.block_variance import block_variance
from absgd.comparisons.contrasts import MOST_EARLIER_DF, contrasts, with_earlier_spread
from absgd.comparisons.look_claims import FINDINGS, claims_at_look
from absgd.comparisons.more_pairs import Dfs
from absgd.comparisons.subset_means import sign_flip_interval, sign_flip_p_value
from absgd.comparisons.variance_moderation import trigamma_inverse, variance_prior


def test_trigamma_inverse_inverts_over_its_whole_range() -> None:
    values = np.array([1e-8, 1e-4, 0.3, 1.0, 40.0, 1e6, 1e9])
    assert special.polygamma(1, trigamma_inverse(values)) == pytest.approx(values, rel=1e-4)


def test_variance_prior_matches_mean_and_variance_of_logarithms() -> None:
    """Its expected logarithms, by scipy's own digamma and a bracketing search, are those of the sample."""
    variances, df = np.array([0.2, 1.0, 5.0, 0.7, 12.0]), 6.0
    prior = variance_prior(variances[None], np.full((1, 5), df))
    logs = np.log(variances)
    spread = logs.var(ddof=1) - special.polygamma(1, df / 2)
    expected_df = 2 * optimize.brentq(lambda half: special.polygamma(1, half) - spread, 1e-3, 1e4)
    assert prior.df_S[0] == pytest.approx(expected_df, rel=1e-6)
    bias = special.digamma(df / 2) - math.log(df / 2)
    location = logs.mean() - bias + special.digamma(expected_df / 2) - math.log(expected_df / 2)
    assert math.log(prior.variance_S[0]) == pytest.approx(location, rel=1e-6)


def test_variance_prior_finds_the_distribution_that_variances_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    truth = 2.0 * 8 / rng.chisquare(8, size=(1, 4000))
    sample = truth * rng.chisquare(3, size=truth.shape) / 3
    prior = variance_prior(sample, np.full(truth.shape, 3.0))
    assert 6 < prior.df_S[0] < 11
    assert 1.8 < prior.variance_S[0] < 2.2


def test_variance_prior_of_variances_alike_and_of_one_variance() -> None:
    alike = variance_prior(np.full((1, 4), 2.0), np.full((1, 4), 3.0))
    alone = variance_prior(np.array([[2.0, 0.0]]), np.array([[3.0, 3.0]]))
    assert (alike.variance_S[0], alike.df_S[0]) == (2.0, math.inf)
    assert alone.df_S[0] == 0.0


def test_block_variance_with_gaps_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(6, 5, 7))
    scores[rng.random(scores.shape) < 0.25] = np.nan
    variances, dfs = block_variance(scores)
    for table, variance, df in zip(scores, variances, dfs, strict=True):
        cells = np.argwhere(np.isfinite(table))
        design = np.zeros((len(cells), 12))
        design[np.arange(len(cells)), cells[:, 0]] = design[np.arange(len(cells)), 5 + cells[:, 1]] = 1
        values = table[np.isfinite(table)]
        effects, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
        assert df == len(values) - rank
        assert variance == pytest.approx(2 * float(((values - design @ effects) ** 2).sum()) / df)


def test_prior_variance_of_complete_pairs_of_two_is_their_sample_variance() -> None:
    ours, theirs = [1.0, 2.5, 2.0], [0.5, 2.2, 2.4]
    found = prior_variance({"a": dict(enumerate(ours)), "b": dict(enumerate(theirs))})
    assert found == pytest.approx((np.var(np.subtract(ours, theirs), ddof=1), 2))


@pytest.mark.parametrize("scores", [{}, {"a": {}}, {"a": {0: 1.0}, "b": {0: 2.0}}, {"a": {0: 1.0, 1: 2.0}}])
def test_prior_variance_is_unknown_without_a_degree_of_freedom(scores: dict[str, dict[int, float]]) -> None:
    assert prior_variance(scores) is None


def test_nominal_levels_spend_what_they_say() -> None:
    """Of paths of normal differences, the share that crosses by the n-th look is what may be spent by then."""
    rng = np.random.default_rng(5)
    sums = rng.normal(size=(100_000, 12)).cumsum(axis=1)
    n = np.arange(1, 13)
    levels = nominal_level(0.05, n.astype(float), 12)
    crossed = 2 * stats.norm.sf(np.abs(sums) / np.sqrt(n)) < levels
    for last in (2, 4, 8, 12):
        share = float(crossed[:, :last].any(axis=1).mean())
        assert share == pytest.approx(0.05 * spent_by(last), abs=4 * math.sqrt(0.05 / 100_000))


def test_nominal_level_of_a_single_look_is_all_of_alpha() -> None:
    assert nominal_level(0.05, np.array([1.0, 2.0, 9.0]), None).tolist() == [0.0, 0.05, 0.05]
    assert nominal_level(0.05, 1, 1) == 0.0


def test_nominal_level_never_spends_more_however_many_pairs_are_added() -> None:
    late = sum(float(nominal_level(0.05, n, n)) for n in range(31, 400))
    assert spent_by(30) * 0.05 + late < SPENT_AT_MOST * 0.05
    assert float(nominal_level(0.05, 31, 31)) > 0


def test_sign_flips_agree_with_the_exact_permutation_test_of_scipy() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        values = rng.normal(size=7) + 0.5
        expected = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
        )
        assert sign_flip_p_value(values) == pytest.approx(expected.pvalue)


def test_sign_flip_interval_leaves_out_a_centre_exactly_where_the_p_value_is_at_most_alpha() -> None:
    rng = np.random.default_rng(7)
    for alpha in (0.02, 0.05, 0.2):
        for _ in range(20):
            values = rng.normal(size=8) + 0.6
            low, high = sign_flip_interval(values, alpha)
            assert (low > 0 or high < 0) == (sign_flip_p_value(values) <= alpha)


def test_cannot_win_after_one_pair_only_by_the_spread_of_the_search() -> None:
    prior = PriorVariance(1.0, 12.0)
    bound = float(stats.t.isf(0.05, 12))
    far, near = ({"s": {9: lead}, "r": {9: 0.0}} for lead in (bound + 0.01, bound - 0.01))
    assert cannot_win("s", far, "r", prior)
    assert not cannot_win("s", near, "r", prior)
    assert not cannot_win("s", far, "r", None)
    assert not cannot_win("s", {"s": {9: -9.0}, "r": {9: 0.0}}, "r", prior)
    assert not cannot_win("s", {"s": {9: 9.0}, "r": {}}, "r", prior)


def test_pairs_needed_give_the_power_that_is_asked_for() -> None:
    rules = ClaimRules(margin=0.1)
    more = pairs_needed(1.0, 1.0, Dfs(3.0), 4, rules, 0.05, None)
    assert more is not None
    for total, enough in ((4 + more, True), (4 + more - 2, False)):
        quantile = stats.t.isf(0.025, total - 1)
        power = stats.nct.sf(quantile, total - 1, math.sqrt(total))
        assert (power > 0.78) == enough


def test_fewer_pairs_are_needed_where_earlier_ones_know_the_spread() -> None:
    rules = ClaimRules(margin=0.1)
    alone, known = (pairs_needed(1.0, 1.0, Dfs(1.0, earlier), 2, rules, 0.05, 2) for earlier in (0.0, 8.0))
    assert alone is not None
    assert known is not None
    assert known < alone


def test_pairs_needed_for_equivalence_and_out_of_reach() -> None:
    wide, narrow = ClaimRules(margin=1.0), ClaimRules(margin=1e-3)
    assert pairs_needed(0.0, 1.0, Dfs(3.0), 4, wide, 0.05, 4) is not None
    assert pairs_needed(0.0, 1.0, Dfs(3.0), 4, narrow, 0.05, 4) is None


@pytest.mark.parametrize("subject_noise", [1.0, 2.0])
def test_wrong_claims_over_several_looks_stay_below_the_level(subject_noise: float) -> None:
    """Four looks at equal candidates, also where the subject has four times the variance; bound of five errors."""
    rng = np.random.default_rng(8)
    scores_SCP = rng.normal(size=(2000, 5, 6))
    scores_SCP[:, 0] *= subject_noise
    is_open = np.ones((2000, 4), dtype=np.bool_)
    for look in (3, 4, 5, 6):
        claimed = claims_at_look(contrasts(scores_SCP[:, :, :look]), is_open, ClaimRules(0.3), look).finding_SR
        is_open &= claimed == 0
    assert (~is_open).any(axis=1).mean() < 0.05 + 5 * math.sqrt(0.05 / 2000)


def test_more_is_found_than_by_one_paired_t_test_for_each_rival() -> None:
    rng = np.random.default_rng(9)
    scores_SCP = rng.normal(size=(500, 9, 5)) / math.sqrt(2)
    scores_SCP[:, 0] += 2.0
    claims = claims_at_look(contrasts(scores_SCP), np.ones((500, 8), dtype=np.bool_), ClaimRules(0.5), None)
    ours = (claims.finding_SR == FINDINGS.index("better")).mean()
    p_values = stats.ttest_rel(scores_SCP[:, :1], scores_SCP[:, 1:], axis=2).pvalue
    assert ours > 0.8 > (p_values < 0.05 / 8).mean() + 0.2


def test_spread_of_earlier_pairs_is_pooled_and_never_lowers_what_the_pairs_show() -> None:
    scores = np.random.default_rng(8).normal(size=(2, 4, 3))
    own = contrasts(scores)
    variance, df = np.array([30.0, 1e-6]), np.array([4.0, 40.0])
    both = with_earlier_spread(own, variance, df)
    pooled = (own.df_SR[0] * own.std_SR[0] ** 2 + 4 * 30.0) / (own.df_SR[0] + 4)
    assert both.std_SR[0] == pytest.approx(np.sqrt(pooled))
    assert both.df_SR[0] == pytest.approx(own.df_SR[0] + 4)
    assert both.std_SR[1] == pytest.approx(own.std_SR[1])
    assert both.df_SR[1] == pytest.approx(own.df_SR[1] + MOST_EARLIER_DF)
    none = with_earlier_spread(own, np.zeros(2), np.zeros(2))
    assert none.std_SR == pytest.approx(own.std_SR)
    assert none.df_SR == pytest.approx(own.df_SR)
    single = with_earlier_spread(contrasts(scores[:, :, :1]), variance, df)
    assert np.isnan(single.std_SR).all(), "one pair allows no claim, whatever the search has seen"


def test_spread_of_a_search_is_the_median_of_its_finalists_and_no_less_than_the_subjects() -> None:
    rng = np.random.default_rng(9)
    gains = {name: dict(enumerate(rng.normal(size=4) * 0.1)) for name in "abc"}
    gains["three"] = dict(enumerate(rng.normal(size=3) * 0.1))
    wild = {"left": {0: 5.0, 1: -5.0}, "one": {0: 3.0}}
    variances = {name: float(np.var(list(own.values()), ddof=1)) for name, own in gains.items()}
    least, low, *_ = sorted(variances, key=variances.__getitem__)
    found = search_spread({**gains, **wild}, least)
    assert found == search_spread(gains, least), "what left earlier says nothing"
    assert found == PriorVariance(variances[low], 3 + 3 + 3 + 2)
    for name, variance in variances.items():
        own = search_spread(gains, name)
        assert own is not None
        assert own.variance == max(variance, variances[low])
    collapsed = {"s": gains["a"], "b": gains["b"], "c": {**gains["c"], 3: -60.0}}
    kept = search_spread(collapsed, "s")
    assert kept is not None
    assert kept.variance == max(variances["a"], variances["b"]), "one that collapses moves no median of three"
    assert search_spread({"s": gains["a"], "c": collapsed["c"]}, "s") == PriorVariance(variances["a"], 3.0)
    assert search_spread({"a": {0: 1.0}}, "a") is None
    assert search_spread({}, "a") is None
    assert search_spread({"a": {0: 1.0, 1: 1.0}}, "a") is None
