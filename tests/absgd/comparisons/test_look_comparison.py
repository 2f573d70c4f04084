"""Comparisons of a subject with its rivals, held against Student's t-test of scipy, formulas by hand and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from absgd.comparisons import ClaimRules, PriorVariance, RivalComparison, Scores, compare_at_look, nominal_level

RULES = ClaimRules(margin=0.5)


def scores_of(**values: list[float]) -> Scores:
    return {name: dict(enumerate(own)) for name, own in values.items()}


def drawn(rng: np.random.Generator, rivals: int, pairs: int, lead: float = 0.0) -> tuple[Scores, list[str]]:
    """Scores with noise of a paired difference of 1, and the names of the rivals."""
    values = rng.normal(size=(rivals + 1, pairs)) / math.sqrt(2) + 3 * rng.normal(size=pairs)
    values[0] += lead
    names = [f"r{place}" for place in range(rivals)]
    return scores_of(**dict(zip(["s", *names], values.tolist(), strict=True))), names


def test_compare_at_look_of_one_rival_is_the_paired_t_test_of_scipy() -> None:
    ours, theirs = [3.1, 4.0, 5.2, 3.3], [2.0, 3.5, 3.1, 2.2]
    found = compare_at_look("s", scores_of(s=ours, r=theirs), ["r"], RULES, None)[0]
    expected = stats.ttest_rel(ours, theirs)
    low, high = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.n, found.df, found.finding) == (4, 3, "better")
    assert found.std == pytest.approx(np.std(np.subtract(ours, theirs), ddof=1))


def test_compare_at_look_shares_the_level_among_scenarios_rivals_and_looks() -> None:
    scores, names = drawn(np.random.default_rng(1), 3, 6)
    rules = ClaimRules(margin=0.001, num_scenarios=4)
    for look in (None, 6):
        for found in compare_at_look("s", scores, names, rules, look):
            level = float(nominal_level(0.05 / 4 / 3, 6, look))
            half = stats.t.isf(level / 2, found.df) * found.std / math.sqrt(6)
            assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half))
            p_value = 2 * stats.t.sf(abs(found.difference) / found.std * math.sqrt(6), found.df)
            assert found.p_value == pytest.approx(min(1.0, p_value * 0.05 / level))


def test_compare_at_look_leaves_more_for_others_after_each_claim() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(3, 6)) * 0.3
    values = {"s": noise[0] + 5, "far": noise[1], "near": noise[2] + 4.4}
    scores = scores_of(**{name: own.tolist() for name, own in values.items()})
    both = {one.rival: one for one in compare_at_look("s", scores, ["far", "near"], RULES, 6)}
    alone = compare_at_look("s", scores, ["far", "near"], RULES, 6, settled=["far"])
    assert both["far"].finding == "better"
    assert alone == [both["near"]]


def test_compare_at_look_with_one_pair_claims_nothing() -> None:
    found = compare_at_look("s", scores_of(s=[9.0], r=[1.0]), ["r"], RULES, 1)[0]
    assert (found.n, found.difference, found.finding, found.pairs_needed) == (1, 8.0, "undecided", None)
    assert math.isnan(found.p_value)


def test_compare_at_look_of_a_rival_without_scores_has_no_numbers() -> None:
    found = compare_at_look("s", scores_of(s=[9.0, 8.0], r=[1.0, 2.0]), ["r", "later"], RULES, 2)[1]
    assert (found.n, found.finding, found.pairs_needed) == (0, "undecided", None)
    assert all(math.isnan(one) for one in (found.difference, found.std, found.df, found.low, found.high))


def test_compare_at_look_leaves_out_pairs_that_one_side_lacks() -> None:
    scores = {"s": {4: 1.0, 5: 2.0, 7: 9.0}, "r": {4: 0.5, 5: 1.2, 6: 8.0}}
    found = compare_at_look("s", scores, ["r"], RULES, None)[0]
    assert (found.n, found.difference) == (2, pytest.approx(0.65))


def test_compare_at_look_of_equal_differences_claims_nothing_until_sign_flips_allow_it() -> None:
    few = compare_at_look("s", scores_of(s=[2.0] * 5, r=[1.0] * 5), ["r"], RULES, None)[0]
    many = compare_at_look("s", scores_of(s=[2.0] * 6, r=[1.0] * 6), ["r"], RULES, None)[0]
    assert (few.finding, few.low) == ("undecided", -math.inf)
    assert (many.finding, many.p_value) == ("better", 2 / 2**6)


def test_compare_at_look_of_equal_scores_is_equivalent_once_there_are_enough() -> None:
    findings = [
        compare_at_look("s", scores_of(s=[1.0] * n, r=[1.0] * n), ["r"], RULES, None)[0].finding for n in (3, 8, 25)
    ]
    assert findings == ["undecided", "equivalent", "equivalent"]


def test_compare_at_look_claims_equivalence_only_inside_the_margin() -> None:
    rng = np.random.default_rng(3)
    ours = rng.normal(size=12) * 0.05
    scores = scores_of(s=ours.tolist(), near=(ours + rng.normal(size=12) * 0.1).tolist())
    near = compare_at_look("s", scores, ["near"], RULES, None)[0]
    narrow = compare_at_look("s", scores, ["near"], ClaimRules(margin=0.01), None)[0]
    assert near.finding == "equivalent"
    assert -0.5 < near.low < near.high < 0.5
    assert narrow.finding == "undecided"


def _mirrored(one: RivalComparison) -> tuple[float, ...]:
    return -one.difference, one.std, one.df, -one.high, -one.low, one.p_value


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 6), st.sampled_from([0.0, 1.0, 4.0]))
def test_compare_at_look_holds_its_promises(seed: int, rivals: int, pairs: int, lead: float) -> None:
    scores, names = drawn(np.random.default_rng(seed), rivals, pairs, lead)
    found = compare_at_look("s", scores, names, RULES, pairs)
    moved = {name: {pair: 7.0 + pair + score for pair, score in own.items()} for name, own in scores.items()}
    mirrored = {name: {pair: -score for pair, score in own.items()} for name, own in scores.items()}
    for one, shifted, other in zip(
        found,
        compare_at_look("s", moved, names, RULES, pairs),
        compare_at_look("s", mirrored, names, RULES, pairs),
        strict=True,
    ):
        assert one[1:8] == pytest.approx(shifted[1:8], rel=1e-6)  # effects of pairs drop out
        assert _mirrored(one) == pytest.approx(other[2:8], rel=1e-6)
        assert one.low <= one.difference <= one.high
        assert (one.finding in ("better", "worse")) == (one.p_value < RULES.level) == (one.low > 0 or one.high < 0)
        assert (one.pairs_needed is None) or (one.finding == "undecided" and one.pairs_needed > 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_compare_at_look_does_not_depend_on_the_order_of_rivals(seed: int) -> None:
    scores, names = drawn(np.random.default_rng(seed), 4, 4, 2.0)
    forth = compare_at_look("s", scores, names, RULES, 4)
    back = compare_at_look("s", scores, names[::-1], RULES, 4)
    for one, other in zip(forth, back[::-1], strict=True):
        assert one[2:8] == pytest.approx(other[2:8])
        assert one.finding == other.finding


@pytest.mark.parametrize("rules", [(0.0,), (-1.0,), (math.inf,), (1.0, 0.0), (1.0, 0.05, 0)])
def test_claim_rules_refuse_what_allows_no_claim(rules: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ClaimRules(*rules)  # type: ignore[arg-type]


def test_spread_of_the_search_finds_a_clear_difference_after_two_pairs() -> None:
    values = {"s": [0.0, 0.3], "near": [-0.4, 0.2], "far": [-6.0, -6.3]}
    scores, prior = scores_of(**values), PriorVariance(1.0, 12.0)
    alone = {one.rival: one for one in compare_at_look("s", scores, ["near", "far"], RULES, 2)}
    known = {one.rival: one for one in compare_at_look("s", scores, ["near", "far"], RULES, 2, prior=prior)}
    assert {one.finding for one in alone.values()} == {"undecided"}
    assert (known["far"].finding, known["near"].finding) == ("better", "undecided")
    assert known["far"].df == pytest.approx(alone["far"].df + 8)
    wide = compare_at_look("s", scores, ["near", "far"], RULES, 2, prior=PriorVariance(100.0, 12.0))
    assert {one.finding for one in wide} == {"undecided"}


def test_rival_without_a_new_pair_keeps_its_part_of_the_level_and_makes_no_claim() -> None:
    values = {"s": [5.0, 5.2, 4.9, 5.1, 5.0, 5.2], "far": [0.0, 0.1, 0.3, 0.2, 0.1, 0.0], "near": [4.0, 5.9] * 3}
    scores = scores_of(**values)
    tested = {one.rival: one for one in compare_at_look("s", scores, ["far", "near"], RULES, 6)}
    held = {one.rival: one for one in compare_at_look("s", scores, ["far", "near"], RULES, 6, untested=["far"])}
    assert (tested["far"].finding, held["far"].finding) == ("better", "undecided")
    assert held["near"].high - held["near"].low > tested["near"].high - tested["near"].low, "half of the level"
