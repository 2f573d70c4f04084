"""Comparisons of a subject with its rivals, held against Student's t-test of scipy and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from absgd.comparisons import ClaimRules, Scores, compare_at_look

RULES = ClaimRules(margin=0.5)


def scores_of(**values: list[float]) -> Scores:
    return {name: dict(enumerate(own)) for name, own in values.items()}


def test_compare_at_look_of_one_rival_is_the_paired_t_test_of_scipy() -> None:
    ours, theirs = [3.1, 4.0, 5.2, 3.3], [2.0, 3.5, 3.1, 2.2]
    found = compare_at_look("s", scores_of(s=ours, r=theirs), ["r"], RULES, None)[0]
    expected = stats.ttest_rel(ours, theirs)
    low, high = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.n, found.df, found.finding) == (4, 3, "better")
    assert found.std == pytest.approx(np.std(np.subtract(ours, theirs), ddof=1))


def test_compare_at_look_with_one_pair_claims_nothing() -> None:
    found = compare_at_look("s", scores_of(s=[9.0], r=[1.0]), ["r"], RULES, 1)[0]
    assert (found.n, found.difference, found.finding, found.pairs_needed) == (1, 8.0, "undecided", None)
    assert math.isnan(found.p_value)


def test_compare_at_look_of_equal_differences_claims_nothing_until_sign_flips_allow_it() -> None:
    few = compare_at_look("s", scores_of(s=[2.0] * 5, r=[1.0] * 5), ["r"], RULES, None)[0]
    many = compare_at_look("s", scores_of(s=[2.0] * 6, r=[1.0] * 6), ["r"], RULES, None)[0]
    assert (few.finding, few.low) == ("undecided", -math.inf)
    assert (many.finding, many.p_value) == ("better", 2 / 2**6)
