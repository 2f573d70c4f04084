"""The comparison of plans of seeds: means over draws and orders, tables, and the values told to Optuna."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.complete_curves.curve_sets import CHOSEN_ON, HELD_OUT
from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN, ONE_PAIR, PairCurves, SeedPlan
from benchmarks.complete_curves.search_replay import stopping_under
from benchmarks.seed_plans.__main__ import main
from benchmarks.seed_plans.candidate_plans import candidate_plans
from benchmarks.seed_plans.plan_replays import replay_plans
from benchmarks.seed_plans.plan_tables import plan_table
from benchmarks.seed_plans.told_values import told_value
from tests.support.small_curves import cell_of, curve
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import EarlyStoppingConfig, SeedsConfig
from tune_runs.stopping.rungs import early_stopping


def test_gain_held_out_is_the_mean_over_the_seeds_that_choose_nothing() -> None:
    """Each trial is the best on one of three seeds; with one pair the best of that seed is chosen, and two are held."""
    values = ((0.9, 0.6, 0.6), (0.6, 0.9, 0.6), (0.6, 0.6, 0.9))
    cells = {
        seed: PairCurves(cell_of(*(curve(n, 8, value) for n, value in enumerate(row)), seed=seed))
        for seed, row in enumerate(values)
    }
    (row,) = replay_plans(cells, [SeedPlan("one", 1, None)], num_trials=3, draws=2)
    assert (row["plan"], row["num_trials"], row["epochs"], row["pairs_used"]) == ("one", 3, 16 + 3 * 8, 1)
    assert row["gain"] == pytest.approx(0.1)
    assert row["gain_error"] == pytest.approx(0)


def test_table_has_points_with_errors_and_epochs_of_the_unit() -> None:
    rows = pd.DataFrame(
        [
            {"scenario": name, "num_trials": 32, "plan": plan, "gain": 0.02, "gain_error": 0.001, "epochs": epochs}
            for name, plan, epochs in (("a", "one", 10), ("b", "one", 10), ("a", "two", 20), ("b", "two", 30))
        ]
    ).assign(pairs_used=2.0)
    assert list(plan_table(rows, 32, "one"))[2:] == [
        "| one | 2.00 ± 0.10 | 2.00 ± 0.10 | 1.00x (1.00 to 1.00) | 2.0 |",
        "| two | 2.00 ± 0.10 | 2.00 ± 0.10 | 2.50x (2.00 to 3.00) | 2.0 |",
    ]


def test_plans_have_names_of_their_own_and_leave_a_seed_of_five() -> None:
    plans = candidate_plans()
    assert len({plan.name for plan in plans}) == len(plans)
    assert {ONE_PAIR, DEFAULT_PLAN} <= set(plans)
    assert max(plan.pairs for plan in plans) < 5


@pytest.mark.parametrize("space", [*CHOSEN_ON.spaces, *HELD_OUT.spaces], ids=lambda space: space.name)
def test_default_plan_is_that_of_a_search(space: SearchSpace) -> None:
    seeds = SeedsConfig()
    assert (DEFAULT_PLAN.pairs, DEFAULT_PLAN.reduction_factor) == (seeds.pairs, seeds.reduction_factor)
    searched = space.model_copy(update={"seeds": seeds, "early_stopping": EarlyStoppingConfig()})
    assert early_stopping(searched) == stopping_under(space, DEFAULT_PLAN.stopping)


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ("nothing (random)", 0.8),
        ("pair 0", 0.8),
        ("mean over the pairs, for the best quarter", 0.5),
        ("mean over the pairs", 0.5),
    ],
)
def test_told_value_of_the_best_trial_so_far(told: str, value: float) -> None:
    rows = [np.array([0.1, 0.9, 0.9, 0.9, 0.0]), np.array([0.8, 0.4, 0.4, 0.4, 0.0])]
    assert told_value(told, rows) == pytest.approx(value)  # type: ignore[arg-type]


def test_mean_is_told_for_the_best_quarter_alone() -> None:
    rows = [np.full(5, 0.9), np.array([0.1, 0.5, 0.5, 0.5, 0.5])]
    assert told_value("mean over the pairs, for the best quarter", rows) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--page", "no.md"], "no.md"),
        (["early"], "expected early_stopping or seed_plans, got 'early'"),
        (["--draws", "1"], "--draws: expected a whole number of at least 2, got '1'"),
    ],
)
def test_wrong_command_lines_are_refused_before_anything_is_replayed(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seed_plans", "--out", str(tmp_path / "out"), *words])
    with pytest.raises(SystemExit) as error:
        main()
    assert (error.value.code, message in capsys.readouterr().err) == (2, True)
    assert not (tmp_path / "out").exists()
