"""The cost of further seed pairs, before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.spaces import first_plan, make, refusal
from tune_runs.preview.pairs_cost import PairsCost, pairs_cost, pairs_wall_s
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.stopping.rungs import early_stopping


def cost(changes: dict[str, Any]) -> PairsCost:
    """Return the cost for a space of 16 epochs whose trials switch in 8..12, with changes."""
    asked = {"num_trials": 32, "seeds": {"pairs": 4, "reduction_factor": 3}, "early_stopping": None}
    space = make({**asked, **changes})
    return pairs_cost(space, first_plan(space), early_stopping(space))


def test_each_pair_has_a_control_and_a_stage_two_of_each_trial() -> None:
    found = cost({})
    assert found.sizes == (10, 3, 2)
    assert (found.num_runs, found.expected_plain) == (18, 3 * 16)
    assert found.expected == found.epochs == 3 * 16 + 15 * 6


def test_fewer_trials_are_expected_where_early_stopping_leaves_fewer() -> None:
    found = cost({"early_stopping": {"rule": "age", "grace_period": 1, "reduction_factor": 8}})
    assert (found.sizes, found.epochs) == ((10, 3, 2), 3 * 16 + 15 * 6)
    first, *others = found.expected_sizes
    assert 2 <= first < 10
    assert others == [min(3, first), 2]
    assert found.expected == 3 * 16 + sum(found.expected_sizes) * 6


def test_trials_with_a_stage_one_of_their_own_train_whole_runs() -> None:
    found = cost({"search/optimizer.lr": {"low": 0.01, "high": 0.1}})
    assert (found.epochs, found.expected_plain) == (18 * 16, 3 * 16 + 15 * 10)


def test_no_more_trials_go_on_than_there_are() -> None:
    assert cost({"num_trials": 2}).sizes == (2, 2, 2)
    assert cost({"num_trials": 1}) == PairsCost((), (), 0, 0, 0)
    assert cost({"seeds": {"pairs": 1}}) == PairsCost((), (), 0, 0, 0)


def test_pairs_follow_each_other() -> None:
    time = EpochTime(1.0, 2.0, 1000)
    assert pairs_wall_s(16, [cost({})], [time], concurrent=100) == 3 * 16 * 2
    assert pairs_wall_s(16, [cost({})], [time], concurrent=1) == 3 * 16 + 15 * 6 * 2
    assert pairs_wall_s(16, [cost({"num_trials": 1})], [time], concurrent=1) is None
    assert pairs_wall_s(16, [cost({})], [None], concurrent=1) is None


@pytest.mark.parametrize("pairs", [0, 101, 1.5])
def test_impossible_numbers_of_pairs_are_refused(pairs: float) -> None:
    assert "(x.yaml: seeds.pairs)" in refusal({"seeds": {"pairs": pairs}})
