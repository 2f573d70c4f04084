"""The comparison of selection rules, on curves whose answer is known."""

from __future__ import annotations

import random
import statistics

import pandas as pd
import pytest

from benchmarks.selection_rule import RULES, TRUTHS, compare_rules, curve_scores, rule_errors, selection_table

EPOCHS = 12


def curves() -> pd.DataFrame:
    """Make curves of which configuration k ends at k / 10 on every seed; the best epochs rank them in reverse."""
    rows = []
    for seed in range(3):
        for number in (-1, 0, 1, 2, 3):
            for epoch in range(EPOCHS):
                value = 0.9 - 0.1 * number if epoch == 5 else 0.1 * number
                keys = {"scenario": "s", "seed": seed, "number": number, "epoch": epoch, "stage": 2}
                rows.append({**keys, "val_balanced_accuracy": value, "val_loss": 1 - value})
    return pd.DataFrame(rows)


def test_scores_come_from_complete_curves_without_the_control() -> None:
    frame = curves()
    short = frame[(frame.number != 2) | (frame.seed != 1) | (frame.epoch < EPOCHS - 1)]
    found = curve_scores(short, RULES[0])
    assert len(found) == 3 * 4 - 1
    assert found["s"][0].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_rule_that_matches_the_truth_ranks_first() -> None:
    rows = pd.DataFrame(compare_rules(curves(), draws=3))
    own = rows[rows.truth == "last epoch"].groupby("rule")
    assert own["rank"].mean()["last epoch"] == pytest.approx(1)
    assert own["rank"].mean()["epoch best on validation"] == pytest.approx(-1)
    assert own.regret.mean()["last epoch"] == 0
    assert own.regret.mean()["epoch best on validation"] == pytest.approx(30)
    for truth in TRUTHS:
        assert selection_table(rows, truth).count("\n") == len(RULES) + 1


def test_errors_by_hand() -> None:
    score, truth = pd.Series([0.5, 0.6]), pd.Series([0.7, 0.5])
    found = rule_errors(score, truth, random.Random(0), draws=1)
    assert found["rank"] == pytest.approx(-1)
    assert found["error"] == pytest.approx(100 * statistics.fmean([0.2**2, 0.1**2]) ** 0.5)
    assert found["bias"] == pytest.approx(-5)
    assert found["regret"] == pytest.approx(20)
    assert found["optimism"] == pytest.approx(10)


def test_equal_scores_have_no_rank_correlation() -> None:
    assert rule_errors(pd.Series([0.5, 0.5]), pd.Series([0.1, 0.2]), random.Random(0), 1)["rank"] == 0
