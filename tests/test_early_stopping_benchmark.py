"""The replay of early stopping: costs and regrets on curves small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import early_stopping as bench
from tests.tune_runs.spaces import make
from tune_runs.early_stopping import early_stopping
from tune_runs.space import EarlyStoppingConfig

EPOCHS = 16


def curve(number: int, switch: int, *values: float, val_loss: float = 0.0) -> bench.Curve:
    """The last value stays."""
    padded = [*values, *[values[-1]] * EPOCHS]
    return bench.Curve(number, switch, dict(zip(range(switch, EPOCHS), padded, strict=False)), val_loss)


def cell_of(*curves: bench.Curve, **changes: object) -> bench.Cell:
    return bench.Cell(make(dict(changes)), "digits", 0, dict.fromkeys(range(EPOCHS), 0.5), curves)


def stopping_of(cell: bench.Cell, **config: object) -> object:
    return early_stopping(
        cell.space.model_copy(update={"early_stopping": EarlyStoppingConfig(grace_period=1, **config)})
    )


def test_epochs_are_counted_from_the_switch_and_the_order_decides() -> None:
    good, poor = curve(0, 8, 0.9), curve(1, 12, 0.6)
    cell = cell_of(good, poor)
    stopping = stopping_of(cell, rule="advantage")
    one_at_a_time = bench.replay(cell, [good, poor], 1, stopping)
    assert (one_at_a_time.epochs, one_at_a_time.completed) == (8 + 1, (good,))
    poor_first = bench.replay(cell, [poor, good], 1, stopping)
    assert (poor_first.epochs, poor_first.completed) == (4 + 8, (poor, good))
    none = bench.replay(cell, [good, poor], 2, early_stopping(make({"early_stopping": None})))
    assert (none.epochs, set(map(id, none.completed))) == (8 + 4, {id(good), id(poor)})


def test_trials_at_once_take_turns() -> None:
    """The poor one comes to its first rung after the good one, and the third begins when it has been stopped."""
    good, poor, better = curve(0, 8, 0.9), curve(1, 12, 0.6), curve(2, 12, 0.95)
    cell = cell_of(good, poor, better)
    search = bench.replay(cell, [good, poor, better], 2, stopping_of(cell, rule="advantage"))
    assert (search.epochs, [one.number for one in search.completed]) == (8 + 1 + 4, [2, 0])


def test_plain_way_trains_every_trial_from_its_first_epoch() -> None:
    """Ray's ASHA, rungs after 13 and 15 epochs: the poorer one ends at the first."""
    good, poor = curve(0, 8, 0.9), curve(1, 12, 0.6)
    search = bench.plain_way(cell_of(good, poor), [good, poor], 1)
    assert (search.epochs, search.completed) == (16 + 13, (good,))


def test_kept_is_the_best_at_the_last_epoch_and_the_lower_loss_of_equals() -> None:
    first, peaked, second = curve(0, 8, 0.8, val_loss=1.0), curve(1, 8, 0.99, 0.7), curve(2, 9, 0.8, val_loss=0.5)
    assert bench.kept(cell_of(first, peaked, second), [first, peaked, second]) is second
    assert bench.kept(cell_of(first, peaked, metric="val_loss"), [first, peaked]) is peaked


def test_regrets_are_held_against_what_no_stopping_keeps() -> None:
    """Trial 1 is the best at the end of this seed, trial 0 on the others."""
    curves = (curve(0, 8, 0.8), curve(1, 8, 0.6, 0.6, 0.9), curve(2, 8, 0.5))
    cell = cell_of(*curves)
    trained = [bench.Search(10, curves)], [bench.Search(5, curves[:1])]
    outcome = bench._outcome(cell, [curves, curves], trained[0] * 2, trained[1] * 2, {0: 0.75, 1: 0.7, 2: 0.8})
    assert outcome == pytest.approx(
        {
            "epochs": 5,
            "fewer": 2,
            "completed": 1,
            "regret": 0.1,
            "regret_p90": 0.1,
            "true_regret": -0.05,
            "below_best": 0.05,
        }
    )


def test_rank_correlations_are_those_of_what_is_compared() -> None:
    """Values rise with the epoch, so that by age the later switch looks better than it is."""
    cell = cell_of(
        *(curve(n, 8 + n, *[0.5 + 0.01 * epoch for epoch in range(8 + n, 16)], 0.9 - 0.1 * n) for n in range(3))
    )
    rows = pd.DataFrame(bench.correlations(cell))
    by_age = rows[(rows.rule == "age") & (rows.rung == 1) & (rows.against == "last")]
    assert list(by_age.trials) == [3]
    assert set(rows.rule) == {"epoch", "age", "advantage", "mean_advantage", "age_then_epoch, by age"}


def test_cells_are_read_from_parts_of_an_unfinished_study(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    rows = [
        {
            "scenario": "digits-exp-0.05",
            "seed": 3,
            "number": number,
            "epoch": epoch,
            "stage": 2 if number >= 0 and epoch >= 1 else 1,
            "val_loss": 0.25,
            "val_balanced_accuracy": 0.5 + number / 10,
        }
        for number in (-1, 0)
        for epoch in range(3)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "parts" / "digits-exp-0.05-3.parquet")
    (cell,) = bench.load_cells(tmp_path)
    assert (cell.seed, dict(cell.control)) == (3, {0: 0.4, 1: 0.4, 2: 0.4})
    assert cell.curves == (bench.Curve(0, 1, {1: 0.5, 2: 0.5}, 0.25),)


def test_every_rule_is_a_candidate() -> None:
    rules = {config.rule for config in bench.candidates().values() if config}
    assert rules == {"epoch", "age", "advantage", "mean_advantage", "age_then_epoch", "median"}


def test_tables_of_a_page_are_replaced_between_their_marks() -> None:
    page = "# Page\n<!-- 32 trials -->\nold\n<!-- /32 trials -->\nrest\n"
    lines = ["| rule |", "| age, 2, from 1 |", "| age, 2, from 2 |", "| age, 3, from 2 |", "| age, 2, from 3 |"]
    new = bench.with_tables(page, {"32 trials": lines, "48 trials": ["nowhere"]})
    kept = "| rule |\n| age, 2, from 1 |\n| age, 3, from 2 |"
    assert new == f"# Page\n<!-- 32 trials -->\n{kept}\n<!-- /32 trials -->\nrest\n"
