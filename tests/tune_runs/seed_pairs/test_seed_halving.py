"""Halving over seed pairs: sizes, ranks, and what leaves before its turn."""

from __future__ import annotations

import math

import pytest

from tune_runs.seed_pairs.seed_halving import going_on, planned_sizes

NAN = math.nan
LOSSES = dict.fromkeys(range(20), 0.5)


@pytest.mark.parametrize(
    ("num_trials", "pairs", "reduction_factor", "sizes"),
    [
        (32, 4, 3, (10, 3, 2)),
        (48, 4, 3, (16, 5, 2)),
        (128, 5, 4, (32, 8, 2, 2)),
        (3, 3, 2, (2, 2)),
        (1, 3, 2, (2, 2)),
        (32, 1, 3, ()),
    ],
)
def test_sizes_shrink_by_the_factor_to_two(
    num_trials: int, pairs: int, reduction_factor: int, sizes: tuple[int, ...]
) -> None:
    assert planned_sizes(num_trials, pairs, reduction_factor) == sizes


def test_first_pair_alone_ranks_by_gain_and_sets_nobody_aside() -> None:
    assert going_on({0: [0.1], 1: [0.9], 2: [0.5]}, LOSSES, 2) == [1, 2]


def test_ties_go_to_the_lower_loss_then_to_the_earlier_trial() -> None:
    gains = {0: [0.1 + 0.2], 1: [0.3], 2: [0.3]}
    assert going_on(gains, {0: 0.5, 1: 0.5, 2: 0.4}, 3) == [2, 0, 1]


def test_only_configurations_on_the_latest_pair_go_on() -> None:
    assert going_on({0: [0.9], 1: [0.5, 0.2], 2: [0.4, 0.3], 3: [0.4, 0.1]}, LOSSES, 2) == [1, 2]


def test_mean_over_pairs_decides() -> None:
    assert going_on({1: [0.50, 0.10], 2: [0.40, 0.30], 3: [0.10, 0.30]}, LOSSES, 2) == [2, 1]


def test_clearly_worse_leaves_although_there_is_room() -> None:
    """Means of 0.5, 0.485, 0.11 and 0.495; the standard error of a difference is 0.012."""
    gains = {0: [0.51, 0.49], 1: [0.49, 0.48], 2: [0.10, 0.12], 3: [0.50, 0.49]}
    assert going_on(gains, LOSSES, 4) == [0, 3]
    assert going_on(gains, LOSSES, 4, standard_errors=2) == [0, 3, 1]


def test_one_clear_leader_is_chosen_before_the_last_pair() -> None:
    assert going_on({0: [0.90, 0.91], 1: [0.50, 0.50], 2: [0.40, 0.41]}, LOSSES, 2) == [0]


def test_lost_run_leaves_unless_the_best_lost_one_too() -> None:
    assert going_on({0: [0.9, NAN], 1: [0.1, 0.3], 2: [0.2, 0.1]}, LOSSES, 3) == [1, 2]
    assert going_on({0: [0.9, NAN], 1: [0.4, NAN]}, LOSSES, 2) == [0, 1]
    assert going_on({0: [0.9, NAN], 1: [0.4, 0.2]}, LOSSES, 2) == [1]


def test_unknown_spread_sets_nobody_aside() -> None:
    assert going_on({0: [0.9, 0.9], 1: [0.1, 0.1]}, LOSSES, 2) == [0, 1]
    assert going_on({0: [0.9, 0.7]}, LOSSES, 2) == [0]


def test_no_completed_trial_leaves_nothing_to_choose() -> None:
    assert going_on({}, {}, 2) == []
