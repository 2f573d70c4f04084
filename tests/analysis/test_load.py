"""Paths, globs and folders are loaded into typed frames."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from absgd import records
from absgd.errors import UserError
from analysis import Runs, load
from analysis.report.html_report import report_html
from tests.support import run_folders

ROOT = Path(__file__).parents[2]


def test_importing_and_reporting_loads_neither_torch_nor_ray_nor_tune_runs(full_folder: Path) -> None:
    code = (
        "import sys; from analysis import load; from analysis.report.html_report import report_html; "
        f"runs = load({str(full_folder)!r}); report_html(runs); runs.importance('fanova'); import analysis.cli; "
        "import analysis.report.text_report as t; t.markdown(runs); "
        "print(sorted({'torch', 'ray', 'tune_runs', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_frames_equal_the_files_in_pandas(full: Runs, full_folder: Path) -> None:
    trials = pd.read_parquet(full_folder / "trials.parquet")
    epochs = pd.read_parquet(full_folder / "epochs.parquet")
    assert list(full.trials.columns) == ["folder", *records.TRIAL_SCHEMA.names]
    assert list(full.epochs.columns) == ["folder", *records.EPOCH_SCHEMA.names]
    assert full.trials.trial_id.tolist() == trials.trial_id.tolist()
    assert full.trials.metric_last.tolist() == trials.metric_last.tolist()
    assert full.epochs.val_accuracy.tolist() == epochs.val_accuracy.tolist()
    assert full.epochs.val_recall.iloc[3] == list(epochs.val_recall.iloc[3])
    assert full.problems == ()


def test_types_do_not_depend_on_missing_columns(full: Runs, searched: Runs) -> None:
    for name in records.TRIAL_SCHEMA.names:
        kinds = {full.trials[name].dtype, searched.trials[name].dtype}
        assert len(kinds) == 1 or name in ("candidate", "error"), name
    assert full.trials.switch_epoch.dtype == pd.Int64Dtype()
    assert full.epochs.epoch.dtype == "int64"
    assert full.epochs.inherited.dtype == pd.BooleanDtype()


@pytest.mark.parametrize("kind", ["path", "text", "glob", "parent", "list", "twice"])
def test_paths_of_any_kind(tmp_path: Path, kind: str) -> None:
    first, second = run_folders.searched(tmp_path / "a"), run_folders.searched(tmp_path / "b", seed=1)
    paths = {
        "path": first,
        "text": str(first),
        "glob": str(tmp_path / "*"),
        "parent": tmp_path,
        "list": [first, str(second)],
        "twice": [first, f"{tmp_path}/a*", str(first) + os.sep],
    }
    runs = load(paths[kind])  # type: ignore[arg-type]
    assert len(runs.folders) == (2 if kind in ("glob", "parent", "list") else 1)
    assert len(runs.trials) == 17 * len(runs.folders)
    assert set(runs.trials.folder) == {folder.name for folder in runs.folders}


def test_single_run_is_its_own_scenario(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "plain", scenario=None)  # type: ignore[arg-type]
    folder.add("plain", run_folders.config(), 0.8, phase="single", test=0.7)
    runs = load(folder.write())
    assert runs.problems == ()
    assert set(runs.trials.scenario) == set(runs.epochs.scenario) == {"plain"}
    assert runs.best().test_mean.tolist() == [0.7]
    assert [one.outcome for one in runs.verdicts()] == ["no control"]
    assert "no gain can be claimed" in report_html(runs)


def test_equal_run_names_stay_apart(tmp_path: Path) -> None:
    run_folders.searched(tmp_path / "one" / "same")
    run_folders.searched(tmp_path / "two" / "same", seed=3)
    runs = load(str(tmp_path / "*" / "same"))
    assert set(runs.trials.run) == {"same"}
    assert [len(one.trials) for one in runs.scenarios()] == [17, 17]
    assert len(runs.best(by=["folder"])) == 2


@pytest.mark.parametrize("path", ["nowhere", "no/such/*"])
def test_absent_folder_is_one_message(path: str) -> None:
    with pytest.raises(UserError, match=f"expected a run folder, found no {path.replace('*', '.')}"):
        load(path)


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="got the file"):
        load(tmp_path / "x")


def test_no_path_at_all() -> None:
    with pytest.raises(UserError, match="at least one run folder"):
        load([])


@pytest.mark.parametrize("odd", [5, None, [5], [None]])
def test_value_that_is_not_a_path(odd: object) -> None:
    with pytest.raises(UserError, match=r"expected the path of a run folder, got (5|nothing)"):
        load(odd)  # type: ignore[arg-type]


def test_scenarios_are_the_parts_that_where_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "several")
    for k in range(3):
        folder.scenario = f"s{2 - k}"
        run_folders.search_rows(folder, num_trials=4, seed=k)
    runs = load([folder.write(), run_folders.searched(tmp_path / "other", "s1")])
    names = [(str(folder.path), "s2"), (str(folder.path), "s1"), (str(folder.path), "s0"), (f"{tmp_path}/other", "s1")]
    wanted = [runs.where(folder=path, scenario=scenario) for path, scenario in names]
    monkeypatch.setattr(Runs, "where", lambda *_, **__: pytest.fail("one pass over all rows for each scenario"))
    found = list(runs.scenarios())
    assert len(found) == 4
    for one, other in zip(found, wanted, strict=True):
        pd.testing.assert_frame_equal(one.trials, other.trials)
        pd.testing.assert_frame_equal(one.epochs, other.epochs)
        assert one.folders == other.folders


def test_where_chooses_trials_with_their_epochs(full: Runs) -> None:
    part = full.where(candidate="best-1")
    assert len(part.trials) == 5
    assert set(part.epochs.trial_id) == set(part.trials.trial_id)
    with pytest.raises(UserError, match="no column `x`"):
        full.where(x=1)
    with pytest.raises(UserError, match="no trial with dataset = 'mnist'"):
        full.where(dataset="mnist")


def test_repr_shows_counts_and_rule(full: Runs) -> None:
    assert repr(full) == "<Runs: 47 trials, 443 epochs, 1 run folder; selection rule: last epoch>"
