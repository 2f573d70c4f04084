"""Tables of complete curves: reading them, and training each once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.complete_curves.curve_sets import CHOSEN_ON, HELD_OUT
from benchmarks.complete_curves.curve_tables import TrialCurve, read_seed_curves
from benchmarks.complete_curves.curve_training import (
    CurveTable,
    random_configs,
    switch_epochs,
    train_missing,
)
from benchmarks.harness.locations import SPACES
from tests.support.spaces import make
from tune_runs.request.space_files import load_space
from tune_runs.space.model import SearchSpace


def rows_of(number: int, values: list[float], switch: int = 9) -> list[dict[str, float]]:
    return [
        {
            "number": number,
            "epoch": epoch,
            "stage": 2 if epoch >= switch else 1,
            "val_loss": 1 - value,
            "val_balanced_accuracy": value,
        }
        for epoch, value in enumerate(values)
    ]


TABLE = pd.DataFrame([*rows_of(-1, [0.1, 0.2, 0.3]), *rows_of(0, [0.1, 0.5, 0.75], switch=1)])


def test_cell_has_the_whole_control_and_trials_from_their_switch() -> None:
    cell = read_seed_curves(make(), "digits", 3, TABLE)
    assert (cell.scenario, cell.seed, dict(cell.control)) == ("digits", 3, {0: 0.1, 1: 0.2, 2: 0.3})
    assert cell.curves == (TrialCurve(0, 1, {1: 0.5, 2: 0.75}, 0.25),)


@pytest.mark.parametrize(
    "table", [TABLE[(TABLE.number == -1) | (TABLE.stage == 2)], TABLE.sort_values("epoch", ascending=False)]
)
def test_cell_needs_neither_the_epochs_before_a_switch_nor_their_order(table: pd.DataFrame) -> None:
    assert read_seed_curves(make(), "digits", 3, table) == read_seed_curves(make(), "digits", 3, TABLE)


def test_cell_holds_the_deciding_metric() -> None:
    cell = read_seed_curves(make({"metric": "val_loss"}), "digits", 0, TABLE)
    assert (cell.sign, cell.curves[0].end(), cell.curves[0].end(2)) == (-1.0, 0.25, 0.375)


def test_trial_is_complete_at_the_last_epoch_of_its_space() -> None:
    (trial,) = read_seed_curves(make(), "digits", 0, TABLE).curves
    assert not read_seed_curves(make(), "digits", 0, TABLE).is_complete(trial)
    short = make({"base/epochs": 3, "search/switch_epoch": {"low": 1, "high": 2}})
    assert read_seed_curves(short, "digits", 0, TABLE).is_complete(trial)


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda path: path.stem)
def test_spaces_are_valid(path: Path) -> None:
    assert load_space(str(path)).num_trials


def test_early_stopping_is_judged_on_two_data_sets_with_two_scenarios_each() -> None:
    assert [(space.name, len(space.scenario_list)) for space in CHOSEN_ON.spaces] == [
        ("digits", 2),
        ("fashion_mnist", 2),
    ]


def test_held_out_curves_are_of_label_noise_and_of_other_networks_or_epochs() -> None:
    assert "digits-symmetric-0.4" in {one.name for space in HELD_OUT.spaces for one in space.scenario_list}
    kinds = [{_network_and_epochs(space) for space in curves.spaces} for curves in (CHOSEN_ON, HELD_OUT)]
    assert len(kinds[1]) == 2
    assert not set.intersection(*kinds)


def _network_and_epochs(space: SearchSpace) -> tuple[str, int]:
    return random_configs(space, space.scenario_list[0])[0].model.name, space.epochs


def test_fewer_configurations_are_the_first_of_more() -> None:
    few, many = make({"num_trials": 2}), make({"num_trials": 4})
    assert random_configs(few, few.scenario_list[0]) == random_configs(many, many.scenario_list[0])[:2]


def test_runs_without_a_switch_are_refused() -> None:
    space = make()
    (run, *_) = random_configs(space, space.scenario_list[0])
    assert 8 <= switch_epochs([run])[0] <= 12
    with pytest.raises(AssertionError, match="stage two"):
        switch_epochs([run, run.stage_one()])


def test_existing_tables_are_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space, path = make(), tmp_path / "done.parquet"
    path.write_text("kept")
    train_missing([CurveTable(path, space, space.scenario_list[0], 0)], processes=1)
    assert (path.read_text(), capsys.readouterr().out) == ("kept", "")
