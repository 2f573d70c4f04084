"""What is whole is loaded, what is not is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from absgd.errors import UserError
from analysis import Runs, load
from analysis.report import report_html
from tests.analysis import run_folders


@pytest.fixture
def folder(tmp_path: Path, full_folder: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(full_folder, tmp_path / "full"))


def change(path: Path, how: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(how(pq.read_table(path)), path)


def texts(runs: Runs) -> str:
    return "\n".join(map(str, runs.problems))


def test_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"nothing to load:\n.*empty: no run folder"):
        load(tmp_path / "empty")


def test_empty_folder_beside_a_whole_one(tmp_path: Path, full_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    runs = load([tmp_path / "empty", full_folder])
    assert len(runs.folders) == 1
    assert "empty: no run folder" in texts(runs)


def test_run_that_has_not_written_a_table(tmp_path: Path, full_folder: Path) -> None:
    (tmp_path / "young").mkdir()
    shutil.copy(full_folder / "space.yaml", tmp_path / "young")
    runs = load([tmp_path / "young", full_folder])
    assert "young: no trials.parquet" in texts(runs)


def test_half_of_a_parquet_file(folder: Path, search_folder: Path) -> None:
    content = (folder / "trials.parquet").read_bytes()
    (folder / "trials.parquet").write_bytes(content[: len(content) // 2])
    runs = load([folder, search_folder])
    assert "full: cannot read trials.parquet" in texts(runs)
    assert len(runs.trials) == 17


def test_text_in_place_of_epochs(folder: Path) -> None:
    (folder / "epochs.parquet").write_text("not parquet")
    runs = load(folder)
    assert "cannot read epochs.parquet" in texts(runs)
    assert (len(runs.trials), len(runs.epochs)) == (47, 0)
    assert runs.best().val_mean.iloc[0] == pytest.approx(0.8347, abs=1e-4)
    assert "best-1" in report_html(runs)


def test_epochs_lost(folder: Path) -> None:
    (folder / "epochs.parquet").unlink()
    runs = load(folder)
    assert "no epochs.parquet" in texts(runs)
    assert runs.curves().empty
    assert runs.using("mean_last_k").best().empty


NEW = ["candidate", "test_chosen_loss", "test_chosen_accuracy", "test_chosen_balanced_accuracy"]


def test_older_version_lacks_columns(tmp_path: Path) -> None:
    folder = run_folders.searched(tmp_path / "old")
    change(folder / "trials.parquet", lambda table: table.drop_columns(NEW))
    runs = load(folder)
    assert "trials.parquet is of an older version: no column `candidate`" in texts(runs)
    assert runs.trials.candidate.isna().all()
    assert runs.best().n.tolist() == [1]


def test_versions_mixed(tmp_path: Path, full_folder: Path) -> None:
    old = run_folders.searched(tmp_path / "old")
    change(old / "trials.parquet", lambda table: table.drop_columns([*NEW, "lr", "threads"]))
    runs = load([old, full_folder])
    assert len(runs.trials) == 17 + 47
    assert runs.trials.lr.isna().sum() == 17
    assert str(runs.trials.threads.dtype) == "Int64"
    assert runs.compare().n.tolist() == [1, 5]


def test_newer_version_has_unknown_columns(folder: Path) -> None:
    change(folder / "trials.parquet", lambda table: table.append_column("fresh", pa.array([1] * len(table))))
    runs = load(folder)
    assert "of another version: column `fresh` left out" in texts(runs)
    assert "fresh" not in runs.trials


def test_column_of_another_type(folder: Path) -> None:
    def how(table: pa.Table) -> pa.Table:
        place = table.column_names.index("lam")
        return table.set_column(place, "lam", pa.array(["five"] * len(table)))

    change(folder / "trials.parquet", how)
    runs = load(folder)
    assert "column `lam` holds string in place of double" in texts(runs)
    assert runs.trials.lam.isna().all()


def test_table_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other" / "trials.parquet")
    with pytest.raises(UserError, match="no column `scenario`: not written by absgd"):
        load(tmp_path / "other")


def test_damaged_rows_are_left_out(folder: Path) -> None:
    def how(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[2]["trial_id"] = None
        rows[3]["status"] = "melted"
        next(row for row in rows if row["phase"] == "confirm")["candidate"] = None
        return pa.Table.from_pylist([*rows, rows[0]], schema=table.schema)

    change(folder / "trials.parquet", how)
    runs = load(folder)
    assert "trials.parquet: 3 damaged rows left out" in texts(runs)
    assert "1 row with a `trial_id` that stood before" in texts(runs)
    assert "rows of unknown trials left out" in texts(runs)
    assert len(runs.trials) == 44
    assert set(runs.epochs.trial_id) <= set(runs.trials.trial_id)


def test_finished_trial_whose_curve_is_torn(folder: Path) -> None:
    change(folder / "epochs.parquet", lambda table: table.slice(0, len(table) - 3))
    runs = load(folder)
    assert "the curves of 1 finished trial are not whole: `digits-exp-0.05-balanced-softmax-4` left out" in texts(runs)
    assert runs.compare(control="balanced-softmax").n.tolist() == [4]
    assert runs.compare(control="balanced-softmax").num_unpaired.tolist() == [1]


def test_epochs_twice_or_without_number(folder: Path) -> None:
    def how(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        return pa.Table.from_pylist([*rows, rows[0], {**rows[1], "epoch": None}], schema=table.schema)

    change(folder / "epochs.parquet", how)
    runs = load(folder)
    assert "epochs.parquet: 2 damaged rows left out" in texts(runs)
    assert len(runs.epochs) == 443


def test_running_search_is_told(tmp_path: Path) -> None:
    folder = run_folders.Folder(tmp_path / "live")
    run_folders.search_rows(folder, num_trials=4)
    folder.add("now", run_folders.config(), 0.5, status="running", num_epochs=3)
    runs = load(folder.write())
    assert "the run is not finished: 1 of 6 trials are running or interrupted" in texts(runs)
    assert runs.best().trial_id.tolist() != ["now"]


@pytest.mark.parametrize("content", ["{", "[1]", '{"sessions": 3}', "\x00", "null"])
def test_damaged_environment(folder: Path, content: str) -> None:
    (folder / "environment.json").write_text(content)
    runs = load(folder)
    assert "Not recorded" in report_html(runs)


@pytest.mark.parametrize("content", ["a: [", "- 1", "search: 3", "search: {lam: 1}", "search: {lam: {low: x}}", ""])
def test_damaged_space(folder: Path, content: str) -> None:
    (folder / "space.yaml").write_text(content)
    assert "best-1" in report_html(load(folder))


def test_no_trial_finished(tmp_path: Path) -> None:
    folder = run_folders.Folder(tmp_path / "none")
    folder.add("a", run_folders.config(), 0.5, status="diverged", num_epochs=0)
    folder.add("b", run_folders.config(), 0.5, status="failed", num_epochs=2, error="MemoryError")
    runs = load(folder.write())
    assert runs.best().empty
    assert [one.outcome for one in runs.verdicts()] == ["nothing finished"]
    assert "1 of 2 search trials failed: MemoryError." in runs.cautions().text.tolist()
    page = report_html(runs)
    assert "there is nothing to choose" in page
