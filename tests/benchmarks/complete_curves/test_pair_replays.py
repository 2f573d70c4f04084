"""Searches over several seed pairs, counted by hand."""

from __future__ import annotations

import math

import pytest

from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN, PairCurves, SeedPlan, replay_plan
from tests.support.small_curves import EPOCHS, cell_of, curve
from tune_runs.space.space_sections import EarlyStoppingConfig

ALL_GO_ON = SeedPlan("all go on", 3, None, sizes=(3, 2), standard_errors=math.inf)
CONTROL, FORK = 16, 8


def pair(seed: int, *values: float, diverged: int | None = None) -> PairCurves:
    """Make a seed on which each trial has one value from its switch at epoch 8 on; one diverges after 3 epochs."""
    curves = [curve(n, 8, value, end=11 if n == diverged else EPOCHS) for n, value in enumerate(values)]
    return PairCurves(cell_of(*curves, seed=seed))


LUCKY_FIRST = {0: pair(0, 0.9, 0.8, 0.7), 1: pair(1, 0.4, 0.8, 0.7), 2: pair(2, 0.5, 0.8, 0.7)}


def test_mean_over_pairs_chooses_and_all_runs_and_controls_count() -> None:
    choice = replay_plan(LUCKY_FIRST, [0, 1, 2], [0, 1, 2], ALL_GO_ON)
    assert choice[:3] == (1, 3 * CONTROL + (3 + 3 + 2) * FORK, 3)


def test_one_pair_is_the_search_alone() -> None:
    choice = replay_plan(LUCKY_FIRST, [0, 1, 2], [0], SeedPlan("one", 1, None))
    assert choice[:3] == (0, CONTROL + 3 * FORK, 1)


def test_clear_leader_needs_no_further_pair() -> None:
    cells = {0: pair(0, 0.9, 0.5, 0.6), 1: pair(1, 0.91, 0.5, 0.6), 2: pair(2, 0.9, 0.5, 0.6)}
    plan = SeedPlan("leaves", 3, None, sizes=(2, 2))
    assert replay_plan(cells, [0, 1, 2], [0, 1, 2], plan)[:3] == (0, 2 * CONTROL + 5 * FORK, 2)


def test_trial_that_diverges_on_a_further_pair_counts_its_epochs_and_leaves() -> None:
    cells = {0: pair(0, 0.9, 0.8, 0.7), 1: pair(1, 0.9, 0.8, 0.7, diverged=0), 2: pair(2, 0.9, 0.8, 0.7)}
    choice = replay_plan(cells, [0, 1, 2], [0, 1, 2], ALL_GO_ON)
    assert choice[:3] == (1, 3 * CONTROL + 3 * FORK + (3 + 2 * FORK) + 2 * FORK, 3)


def test_stopping_on_a_further_pair_takes_trials_out() -> None:
    """On the second pair the last of three is behind after its first epoch; the first has nobody to be behind of."""
    stopping = EarlyStoppingConfig(rule="advantage", grace_period=1, reduction_factor=3)
    plan = SeedPlan("stops later", 2, None, sizes=(3,), standard_errors=math.inf, later_stopping=stopping)
    cells = {0: pair(0, 0.9, 0.8, 0.7), 1: pair(1, 0.6, 0.8, 0.7)}
    choice = replay_plan(cells, [0, 1, 2], [0, 1], plan)
    assert choice[:3] == (1, 2 * CONTROL + 3 * FORK + 2 * FORK + 1, 2)


def test_trials_spread_over_two_pairs_are_compared_by_gain_and_trained_on_the_other() -> None:
    """Trials 0 and 2 begin on the first seed, 1 on the second; each then trains on the one that it lacks."""
    plan = SeedPlan("spread", 2, None, sizes=(2,), standard_errors=math.inf, first_pairs=2)
    cells = {0: pair(0, 0.9, 0.6, 0.5), 1: pair(1, 0.6, 0.8, 0.5)}
    assert replay_plan(cells, [0, 1, 2], [0, 1], plan)[:3] == (0, 2 * CONTROL + (3 + 2) * FORK, 2)


def test_default_plan_has_the_sizes_of_a_search() -> None:
    assert DEFAULT_PLAN.sizes_for(32) == (10, 3, 2)


def test_gain_of_a_diverged_trial_is_unknown_but_its_last_value_counts_where_held_out() -> None:
    cell = pair(0, 0.9, 0.8, diverged=0)
    assert math.isnan(cell.gains[0])
    assert cell.gains_at_end[0] == pytest.approx(0.4)
