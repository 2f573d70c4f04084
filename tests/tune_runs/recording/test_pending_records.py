"""Records of a large search, whose tables are not replaced at the end of every trial: a resume reads them too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.fake_searches import assert_same, epochs, some_diverge, space_of, trials
from tests.support.fake_trainer import FakeTrainer
from tests.support.fake_tuner import FakeTuner
from tests.support.kills import Killed, killed_at
from tune_runs.recording import run_tables


@pytest.fixture(autouse=True)
def tables_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the tables only where a session begins or ends."""
    monkeypatch.setattr(run_tables, "FLUSH_SHARE", 1e-9)


def search(folder: Path, concurrent: int = 2) -> FakeTuner:
    tuner = FakeTuner(space_of(), folder, some_diverge, concurrent=concurrent, quick_flush_s=0.0)
    tuner.recorder.tables.flush()
    return tuner


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    return folder


def test_ends_are_kept_apart_until_the_tables_are_replaced(tmp_path: Path, whole: Path) -> None:
    tuner = search(tmp_path / "run", concurrent=1)
    tuner.run()
    assert trials(tmp_path / "run").empty
    assert list((tmp_path / "run" / ".pending").glob("*-trials.parquet"))
    tuner.end_early()
    assert not (tmp_path / "run" / ".pending").exists()
    assert_same(whole, tmp_path / "run")


@pytest.mark.parametrize("moment", range(12, 90, 6))
def test_a_kill_loses_no_trial_that_had_ended(
    tmp_path: Path, whole: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed), killed_at(moment, monkeypatch):
        search(folder, concurrent=1).run()
    files = sorted((folder / ".pending").glob("*-trials.parquet")) if (folder / ".pending").exists() else []
    resumed = FakeTuner(space_of(), folder, some_diverge, concurrent=1, quick_flush_s=0.0)
    if files:
        assert any(trial.is_finished for trial in resumed.recorder.trials.values())
    resumed.run()
    resumed.end_early()
    assert_same(whole, folder)


def test_parts_that_a_kill_left_behind_newer_tables_change_nothing(tmp_path: Path, whole: Path) -> None:
    tuner = search(tmp_path / "run", concurrent=1)
    tuner.run()
    parts = shutil.copytree(tmp_path / "run" / ".pending", tmp_path / "parts")
    tuner.end_early()
    shutil.copytree(parts, tmp_path / "run" / ".pending")
    FakeTrainer.epochs_trained = 0
    again = FakeTuner(space_of(), tmp_path / "run", some_diverge, concurrent=1)
    again.run()
    again.end_early()
    assert FakeTrainer.epochs_trained == 0
    assert_same(whole, tmp_path / "run")


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    tuner = search(tmp_path / "run")
    tuner.run()
    part = sorted((tmp_path / "run" / ".pending").glob("*-epochs.parquet"))[0]
    part.write_bytes(b"PAR1")
    with pytest.raises(Exception, match=f"cannot read {part}"):
        FakeTuner(space_of(), tmp_path / "run", some_diverge)


def test_epochs_keep_the_order_in_which_they_arrived(tmp_path: Path) -> None:
    tuner = search(tmp_path / "run")
    arrived = [(trial_id, len(tuner.recorder.epochs[trial_id]) - 1) for trial_id in tuner.results({})]
    tuner.end_early()
    own = epochs(tmp_path / "run").query("not inherited")
    assert list(zip(own.trial_id, own.epoch, strict=True)) == list(dict.fromkeys(arrived))
