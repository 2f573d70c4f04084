"""The cost of a confirmation before its search: the spread of seeds that it counts on."""

from __future__ import annotations

import random

import pytest

from absgd.comparisons import search_spread
from tests.support.fake_tuner import make_space
from tune_runs.preview.confirm_cost import simulated_rules
from tune_runs.seed_pairs.seed_halving import planned_sizes


@pytest.mark.parametrize(
    ("num_trials", "pairs", "factor"), [(32, 4, 3), (16, 4, 3), (32, 2, 3), (5, 2, 3), (48, 5, 2), (20, 3, 4)]
)
def test_expected_spread_has_the_degrees_of_freedom_of_a_search_that_no_trial_leaves_early(
    num_trials: int, pairs: int, factor: int
) -> None:
    seeds = {"pairs": pairs, "reduction_factor": factor}
    expected = simulated_rules(make_space(num_trials=num_trials, seeds=seeds)).prior
    source, sizes = random.Random(0), planned_sizes(num_trials, pairs, factor)
    gains = {
        str(trial): {pair: source.random() for pair in range(1 + sum(trial < size for size in sizes))}
        for trial in range(num_trials)
    }
    found = search_spread(gains, "0")
    assert found is not None
    assert expected is not None
    assert expected.df == found.df


def test_search_on_one_pair_knows_no_spread() -> None:
    assert simulated_rules(make_space(seeds={"pairs": 1})).prior is None
