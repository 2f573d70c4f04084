"""A trial's record is a row of trials.parquet and back, without loss."""

from __future__ import annotations

from pathlib import Path

from absgd import records
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.recording.trial_record import TrialRecord


def test_record_becomes_the_row_it_was_made_of(tmp_path: Path) -> None:
    confirm = {"max_pairs": 1, "controls": ["ce"]}
    FakeTuner(make_space(num_trials=2, confirm=confirm), tmp_path / "fake", rising).run()
    file = tmp_path / "fake" / records.TRIALS_FILE
    rows = records.read_rows(file, records.TRIAL_SCHEMA)
    assert {row["phase"] for row in rows} == {"control", "search", "confirm"}
    again = [TrialRecord.from_row(row, row["run"]).to_row() for row in rows]
    assert records.as_table(records.TRIAL_SCHEMA, again).to_pylist() == rows


def test_record_of_a_moved_folder_has_its_new_name(tmp_path: Path) -> None:
    FakeTuner(make_space(num_trials=1), tmp_path / "fake", rising).run()
    row, *_ = records.read_rows(tmp_path / "fake" / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    moved = TrialRecord.from_row(row, "moved")
    assert (moved.run, moved.is_finished, moved.epochs_done) == ("moved", True, 10)
    assert moved.config.epochs == 10
