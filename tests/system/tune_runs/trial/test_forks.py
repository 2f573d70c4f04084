"""Trials that fork from a trunk, on a real Ray: the same bits as training from scratch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd import records
from tests.support.fake_searches import trials as trials_of
from tests.support.ray_searches import FORKS, SMALL, comparable, forks, printed_by_search, rows_of, trained_alone
from tune_runs.space.model import SearchSpace

LDAM = {"loss.name": {"choices": ["abce", "abldam"]}}


def with_trunks(folder: Path) -> SearchSpace:
    """Return a space whose runs share their trunks in a folder."""
    return forks(trunks=str(folder), num_trials=2, search=SMALL["search"])


@pytest.fixture(scope="module")
def first(ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a search and its trunks."""
    folder = tmp_path_factory.mktemp("first")
    printed_by_search(with_trunks(folder / "trunks"), folder / "run")
    return folder


@pytest.fixture
def trunks(first: Path, tmp_path: Path) -> Path:
    """Copy of the trunks of the first search."""
    return shutil.copytree(first / "trunks", tmp_path / "trunks")


@pytest.mark.parametrize(
    ("base", "search_changes", "num_trials", "losses"),
    [
        ({"class_balance": {"type": "reweight", "from_epoch": "switch"}}, {}, 4, {"abce", "abtce"}),
        ({"class_balance": {"type": "resample", "from_epoch": "switch"}}, {}, 4, {"abce", "abtce"}),
        (
            {"class_balance": {"type": "reweight", "from_epoch": 3}, "loss": {"name": "abtce", "tce_prune_from": 3}},
            {"loss.name": {"choices": ["abtce"]}},
            4,
            {"abtce"},
        ),
        ({}, LDAM, 4, {"abldam"}),
    ],
    ids=["reweighted from the switch", "resampled from the switch", "from an epoch between switches", "ldam"],
)
def test_forked_trials_equal_training_from_scratch_to_the_bit(
    ray: None, tmp_path: Path, base: dict[str, Any], search_changes: dict[str, Any], num_trials: int, losses: set[str]
) -> None:
    space = forks(base={**FORKS["base"], **base}, search={**FORKS["search"], **search_changes}, num_trials=num_trials)
    printed_by_search(space, tmp_path / "run")
    trials = records.read_rows(tmp_path / "run" / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    searched = [row for row in trials if row["phase"] == "search"]
    assert {row["loss"] for row in searched} >= losses
    for row in trials:
        rows = rows_of(tmp_path / "run", row["trial_id"])
        assert comparable(rows) == trained_alone(row), row["trial_id"]
        inherited = row["switch_epoch"] if row["phase"] == "search" else 0
        assert [one["inherited"] for one in rows] == [epoch < inherited for epoch in range(6)]
        assert (row["epochs_trained"], row["epochs_inherited"]) == (6 - inherited, inherited)


def test_runs_of_tuned_controls_equal_training_from_scratch_to_the_bit(ray: None, tmp_path: Path) -> None:
    """Those that fork from a plain control, be it that of another weight decay, and those that do not."""
    methods = ["ce", "cb-ce-drw", "ce-posthoc", "balanced-softmax"]
    search = {"optimizer.weight_decay": {"choices": [2.0e-4, 1.0e-2]}, **SMALL["search"]}
    space = forks(search=search, num_trials=2, controls={"tuned": True, "methods": methods})
    printed_by_search(space, tmp_path / "run")
    trials = records.read_rows(tmp_path / "run" / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    tuned = [row for row in trials if row["phase"] == "tuning"]
    assert {row["candidate"] for row in tuned} == {f"{name}-tuned" for name in methods[1:]}
    for row in tuned:
        assert row["status"] == "completed"
        assert comparable(rows_of(tmp_path / "run", row["trial_id"])) == trained_alone(row), row["trial_id"]
    inherited = {row["epochs_inherited"] for row in tuned if row["candidate"] == "ce-posthoc-tuned"}
    assert inherited == {5}
    assert {row["weight_decay"] for row in trials if row["phase"] == "control"} == {2.0e-4, 1.0e-2}


def test_plain_trials_train_the_last_epoch_only(ray: None, tmp_path: Path) -> None:
    """A trial on the base criterion equals the control."""
    drawn = {name: {**range_, "when": {"loss.name": "abce"}} for name, range_ in SMALL["search"].items()}
    printed_by_search(forks(search={"loss.name": {"choices": ["ce", "abce"]}, **drawn}, num_trials=6), tmp_path / "run")
    trials = records.read_rows(tmp_path / "run" / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    (control,) = [row for row in trials if row["phase"] == "control"]
    plain = [row for row in trials if row["phase"] == "search" and row["loss"] == "ce"]
    assert plain
    for row in plain:
        assert (row["epochs_trained"], row["epochs_inherited"]) == (1, 5)
        assert comparable(rows_of(tmp_path / "run", row["trial_id"])) == comparable(
            rows_of(tmp_path / "run", control["trial_id"])
        )


def test_second_run_takes_the_trunks_of_the_first(first: Path, trunks: Path, tmp_path: Path) -> None:
    printed = printed_by_search(with_trunks(trunks), tmp_path / "second")
    before, after = (trials_of(folder).set_index("trial_id") for folder in (first / "run", tmp_path / "second"))
    assert "note" not in printed
    controls = after.query("phase == 'control'")
    assert (controls.epochs_inherited == 6).all()
    assert (controls.status == "completed").all()
    assert before.query("phase == 'control'").epochs_trained.eq(6).all()
    same = ["metric_last", "metric_chosen", "lam", "loss", "status"]
    pd.testing.assert_frame_equal(before.sort_index()[same], after.sort_index()[same])


def test_damaged_trunk_is_named_and_trained_again(first: Path, trunks: Path, tmp_path: Path) -> None:
    (damaged,) = trunks.glob("*/epoch-0002.pt")
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    printed = printed_by_search(with_trunks(trunks), tmp_path / "second")
    assert f"-control: the checkpoint {damaged} is damaged" in printed
    before, after = trials_of(first / "run"), trials_of(tmp_path / "second")
    control = after.query("phase == 'control'").iloc[0]
    assert (control.epochs_inherited, control.epochs_trained) == (1, 5)
    assert sorted(before.metric_last) == sorted(after.metric_last)


def test_unwritable_trunk_is_reported_once_and_costs_stage_one_only(first: Path, trunks: Path, tmp_path: Path) -> None:
    (trunk,) = trunks.iterdir()
    blocked = tmp_path / "blocked" / trunk.name
    blocked.parent.mkdir()
    blocked.write_text("a file where the folder should be")
    space = with_trunks(blocked.parent)
    printed = printed_by_search(space, tmp_path / "second")
    before, after = trials_of(first / "run"), trials_of(tmp_path / "second")
    assert printed.count("cannot write ") == 1
    assert f"note: {space.scenario_list[0].name}-control: cannot write {blocked}" in printed
    assert printed.count("starts after 0 epochs instead of ") == 2
    assert (after.epochs_trained == 6).all()
    assert sorted(before.metric_last) == sorted(after.metric_last)
