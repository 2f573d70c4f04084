"""The ways from nothing to a verdict: epochs counted by hand, and verdicts whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from absgd.config import RunConfig
from benchmarks.complete_curves.curve_sets import CHOSEN_ON
from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.complete_curves.pair_replays import PairCurves
from benchmarks.verdict_cost.verdict_rates import (
    CONTROLS,
    contest,
    fixed_epochs,
    fixed_verdicts,
    holm,
    sequential_verdicts,
)
from benchmarks.verdict_cost.verdict_tables import cost_table, summary_table
from benchmarks.verdict_cost.verdict_ways import WAYS, Choice, searches, spread
from tests.support.small_curves import cell_of, curve


@pytest.fixture(scope="module")
def winner() -> RunConfig:
    """Return the first random configuration of a space with 60 epochs."""
    space = CHOSEN_ON.spaces[0]
    return random_configs(space, space.scenario_list[0])[0]


def test_controls_are_those_of_a_real_confirmation_and_fork_where_they_may(winner: RunConfig) -> None:
    found = contest(winner)
    assert (found.rivals, found.epochs) == (CONTROLS, 60)
    assert found.deciding == {"ce", "ce-lr"}
    assert set(found.forks) == {found.subject, "cb-ce-drw"}


def test_script_trains_everything_from_scratch_and_the_version_before_forks(winner: RunConfig) -> None:
    assert winner.attention is not None
    found = contest(winner)
    assert fixed_epochs("script", found) == 3 * 7 * 60
    assert fixed_epochs("before", found) == 3 * (4 * 60 + 60 - winner.attention.switch_epoch)


def test_holm_corrects_along_the_last_axis() -> None:
    assert holm(np.array([[0.01, 0.04, 0.03], [0.5, 0.9, 0.9]])) == pytest.approx(
        np.array([[0.03, 0.06, 0.06], [1, 1, 1]])
    )


@pytest.mark.parametrize("way", ["script", "before"])
def test_fixed_verdicts_are_rarely_wrong_and_find_what_is_large(way: str) -> None:
    assert fixed_verdicts(way, 0, 2000) > 0.93  # type: ignore[arg-type]
    assert fixed_verdicts(way, 1000, 100) == 1  # type: ignore[arg-type]


def test_sequential_verdicts_find_what_is_large_on_few_pairs(winner: RunConfig) -> None:
    choice = Choice(0, 0.0, 0)
    far = sequential_verdicts([winner], [choice], 0.01, 50.0, 10)
    near = sequential_verdicts([winner], [choice], 0.01, 0.0, 10)
    assert far.right == 1
    assert far.epochs < near.epochs


def test_ways_choose_by_what_they_train() -> None:
    """On each seed another trial is the best; trial 5 is the second best on all, and early stopping may end it."""
    lucky = {
        seed: PairCurves(
            cell_of(*(curve(n, 8, 0.9 if n == seed else 0.8 if n == 5 else 0.6) for n in range(32)), seed=seed)
        )
        for seed in range(5)
    }
    gains = {way: {round(one.gain, 6) for one in searches(way, lucky, 1)} for way in WAYS}
    assert gains["script"] == {0.1}
    assert 0.3 in gains["before"] & gains["now"]
    assert spread(lucky, [Choice(5, 0.3, 0)]) == 0


def test_tables_list_gaps_and_shares_of_the_script() -> None:
    rows = pd.DataFrame(
        [
            {"scenario": "a", "way": way, "gap": gap, "epochs": epochs, "search_epochs": 5.0, "gain": 0.01}
            for way, epochs in (("script", 10.0), ("now", 4.0))
            for gap in (0.0, 1.0)
        ]
    ).assign(gain_error=0.001, right=0.5, processor_s=60.0)
    assert list(summary_table(rows))[2:] == [
        "| script | 1.00 | 1.00 / 1.00 | 0.50 / 0.50 |",
        "| now | 1.00 | 0.40 / 0.40 | 0.50 / 0.50 |",
    ]
    assert list(cost_table(rows))[3] == "| a | now | 1.00 ± 0.10 | 5 | 4 / 4 | 1.0 / 1.0 | 0.50 / 0.50 |"
