"""Intact parts of damaged folders are loaded, and the others are named."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from absgd.errors import UserError
from absgd.records import LATER_METRICS
from analysis import Runs, load
from analysis.report.html_report import report_html
from analysis.report.text_report import comma_separated, markdown
from tests.support import run_folders


@pytest.fixture
def folder(tmp_path: Path, full_folder: Path) -> Path:
    """Copy a run folder, so that a test may damage it."""
    return Path(shutil.copytree(full_folder, tmp_path / "full"))


def change(path: Path, how: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(how(pq.read_table(path)), path)


def texts(runs: Runs) -> str:
    return "\n".join(map(str, runs.problems))


def test_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"nothing to load:\n.*empty: not a run folder"):
        load(tmp_path / "empty")


def test_empty_folder_next_to_a_complete_one(tmp_path: Path, full_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    runs = load([tmp_path / "empty", full_folder])
    assert len(runs.folders) == 1
    assert "empty: not a run folder" in texts(runs)


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
    assert "trials.parquet is from an older version: no column `candidate`" in texts(runs)
    assert runs.trials.candidate.isna().all()
    assert runs.best().n.tolist() == [1]


@pytest.mark.parametrize(
    "columns",
    [
        {"second_metric": "val_nothing", "second_last": 0.5, "pareto_rule": "mean"},
        {"second_metric": run_folders.METRIC, "second_last": 0.5, "pareto_rule": "mean"},
        {"second_metric": "val_accuracy", "second_last": 0.5, "pareto_rule": "<b>"},
        {"second_metric": "val_accuracy", "second_last": 95.0, "pareto_rule": "mean"},
        {"second_metric": "val_accuracy", "second_last": math.inf, "pareto_rule": "first"},
    ],
)
def test_second_metric_that_cannot_be_draws_no_front(tmp_path: Path, columns: dict[str, Any]) -> None:
    builder = run_folders.RunFolderBuilder(tmp_path / "bad")
    builder.add("a", run_folders.config(), 0.7, **columns)
    runs = load(builder.write())
    assert runs.pareto_front().empty
    assert report_html(runs)


def test_older_version_without_later_metrics_is_whole(folder: Path) -> None:
    for file in ("trials.parquet", "epochs.parquet"):
        change(folder / file, lambda table: table.drop_columns([n for n in LATER_METRICS if n in table.column_names]))
    runs = load(folder)
    assert runs.problems == ()
    assert runs.epochs.val_macro_f1.isna().all()
    assert runs.trials.test_calibration_error.isna().all()
    assert runs.curves("val_worst_recall").value.isna().all()
    assert report_html(runs)


def test_older_version_without_titles_is_whole(folder: Path) -> None:
    change(folder / "trials.parquet", lambda table: table.drop_columns(["data_title", "data_resize", "fast", "pair"]))
    runs = load(folder)
    assert runs.problems == ()
    assert set(runs.trials.data_resize) == {"crop"}
    assert set(runs.trials[runs.trials.phase == "search"].pair) == {0}
    assert "absgd-train --config" in report_html(runs)
    assert runs.trials.data_title.isna().all()


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
    assert "from another version: column `fresh` left out" in texts(runs)
    assert "fresh" not in runs.trials


def test_column_of_another_type(folder: Path) -> None:
    def how(table: pa.Table) -> pa.Table:
        place = table.column_names.index("lam")
        return table.set_column(place, "lam", pa.array(["five"] * len(table)))

    change(folder / "trials.parquet", how)
    runs = load(folder)
    assert "column `lam` holds string instead of double" in texts(runs)
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
        return pa.Table.from_pylist([*rows, rows[0]], schema=table.schema)

    change(folder / "trials.parquet", how)
    runs = load(folder)
    assert "trials.parquet: 2 damaged rows left out" in texts(runs)
    assert "1 row with a repeated `trial_id` left out" in texts(runs)
    assert "rows of unknown trials left out" in texts(runs)
    assert len(runs.trials) == 45
    assert set(runs.epochs.trial_id) <= set(runs.trials.trial_id)


def test_controls_of_an_earlier_winner_are_not_damage(tmp_path: Path, full: Runs) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "full")
    run_folders.search_rows(folder)
    run_folders.confirm_rows(folder)
    for k in range(3):
        seeds = {"seeds__data": 1000 + k, "seeds__train": 2000 + k}
        plain = run_folders.config(loss__name="ce", optimizer__lr=0.3, **seeds).stage_one()
        folder.add(f"earlier-{k}", plain, 0.99, phase="confirm", candidate=None, test=0.99)
    runs = load(folder.write())
    assert runs.problems == ()
    assert len(runs.trials) == len(full.trials) + 3
    assert runs.best().drop(columns="folder").equals(full.best().drop(columns="folder"))
    columns = ["configuration", "control", "difference", "p_value"]
    assert runs.compare(control=None)[columns].equals(full.compare(control=None)[columns])
    assert "earlier-0" not in report_html(runs)


def set_values(folder: Path, file: str, column: str, values: Callable[[dict[str, object]], object]) -> None:
    """Write the values that a function gives for each row into a column."""

    def how(table: pa.Table) -> pa.Table:
        rows = [{**row, column: values(row)} for row in table.to_pylist()]
        return pa.Table.from_pylist(rows, schema=table.schema)

    change(folder / file, how)


@pytest.mark.parametrize("metric", [None, "val_f1"])
def test_rows_without_a_known_metric_have_no_score(folder: Path, metric: str | None) -> None:
    set_values(
        folder, "trials.parquet", "metric", lambda row: metric if row["candidate"] == "best-1" else row["metric"]
    )
    runs = load(folder)
    told = "trials.parquet: 5 rows without a known `metric` have no score"
    assert texts(runs).endswith(told if metric is None else f"{told}: no such metric as `val_f1`")
    assert runs.scored[runs.scored.candidate == "best-1"].score.isna().all()
    assert runs.using("mean_last_k").best().configuration.tolist() == ["best-2"]
    assert runs.best().configuration.tolist() == ["best-2"]
    assert len(runs.curves()) == 443 - 50
    assert len(runs.curves("val_loss")) == 443
    assert "best-2" in report_html(runs)


@pytest.mark.parametrize("lost", ["metric", "class_balance_from_epoch"])
def test_report_of_a_version_without_a_column(folder: Path, lost: str) -> None:
    change(folder / "trials.parquet", lambda table: table.drop_columns([lost]))
    runs = load(folder)
    assert f"from an older version: no column `{lost}`" in texts(runs)
    page = report_html(runs)
    assert "Train the best configuration again" not in page
    assert ("(best-1) is better" in page) == (lost != "metric")
    assert runs.curves().empty == (lost == "metric")


@pytest.mark.parametrize("rule", ["last", "chosen", "mean_last_k"])
def test_infinite_values_are_not_scores(folder: Path, rule: str) -> None:
    for column in ("metric_last", "metric_chosen"):
        set_values(
            folder,
            "trials.parquet",
            column,
            lambda row, name=column: float("inf") if str(row["trial_id"]).endswith("-0004") else row[name],
        )
    set_values(
        folder,
        "epochs.parquet",
        "val_balanced_accuracy",
        lambda row: float("inf") if str(row["trial_id"]).endswith("-0004") else row["val_balanced_accuracy"],
    )
    runs = load(folder, rule=rule).where(phase="search")  # type: ignore[arg-type]
    assert "trials.parquet: 1 infinite value of `metric_last` taken as missing" in texts(runs)
    assert "epochs.parquet: 10 infinite values of `val_balanced_accuracy` taken as missing" in texts(runs)
    assert len(runs.best()) == 1
    assert not runs.best().trial_id.iloc[0].endswith("-0004")
    assert "one seed" in report_html(runs).lower()


def test_accuracies_above_1_are_not_scores(folder: Path) -> None:
    trials = pd.read_parquet(folder / "trials.parquet")
    lucky = trials.trial_id.str.endswith("-0004")
    trials.loc[lucky, ["metric_last", "metric_chosen"]] = 95.0
    trials["test_accuracy"] = 95.0
    trials["test_loss"] = 95.0
    trials.to_parquet(folder / "trials.parquet")
    runs = load(folder)
    search = runs.where(phase="search")
    assert not search.best().trial_id.iloc[0].endswith("-0004")
    assert texts(runs).count("trials.parquet: 1 value of `metric_last` outside 0 to 1 taken as missing") == 1
    assert f"trials.parquet: {len(trials)} values of `test_accuracy` outside 0 to 1 taken as missing" in texts(runs)
    assert set(runs.trials.test_loss) == {95.0}


def test_users_own_frames_with_an_infinite_value(full: Runs) -> None:
    infinite = full.trials.assign(metric_last=full.trials.metric_last.where(full.trials.candidate != "best-2", np.inf))
    assert Runs(infinite, full.epochs).best().configuration.tolist() == ["best-1"]


def test_finished_trial_whose_curve_is_torn(folder: Path) -> None:
    change(folder / "epochs.parquet", lambda table: table.slice(0, len(table) - 3))
    runs = load(folder)
    assert "the curves of 1 finished trial are incomplete: `digits-exp-0.05-balanced-softmax-4` left out" in texts(runs)
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


def test_running_search_is_reported(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "live")
    run_folders.search_rows(folder, num_trials=4)
    folder.add("now", run_folders.config(), 0.5, status="running", num_epochs=3)
    runs = load(folder.write())
    assert "the run is not finished: 1 of 6 trials running or interrupted" in texts(runs)
    assert runs.best().trial_id.tolist() != ["now"]


def test_damaged_environment(tmp_path: Path) -> None:
    contents = ["{", "[1]", '{"sessions": 3}', "\x00", "null"]
    page = page_of_environments(tmp_path, contents)
    assert page.count("Not recorded.") == len(contents)


SESSIONS = [
    {"gpus": 5},
    {"gpus": {"a": [1]}, "packages": [1], "cpu": 3, "cpu_count": [2], "python": {}, "command": ["x"]},
    {"gpus": "H100", "packages": {"torch": {"x": 1}}, "started_at": True, "git_sha": 1e400},
]


def test_environment_of_any_json(tmp_path: Path) -> None:
    contents = [json.dumps({"sessions": [session, 3, None, {"platform": "here"}]}) for session in SESSIONS]
    page = page_of_environments(tmp_path, contents)
    assert page.count("<dt>platform</dt><dd>here</dd>") == len(SESSIONS)
    assert page.count("<dt>GPUs</dt><dd>5</dd>") == 1


def page_of_environments(place: Path, contents: list[str]) -> str:
    """Return the page of run folders with these texts in place of their environments."""
    folders = []
    for number, content in enumerate(contents):
        folder = run_folders.RunFolderBuilder(place / f"run{number}")
        folder.add("a", run_folders.config(), 0.5)
        folders.append(folder.write())
        (folders[-1] / "environment.json").write_text(content)
    return report_html(load(folders))


RANGE = {"low": 0.0, "high": 1.0, "log": True}


@pytest.mark.parametrize(
    "search",
    [
        dict.fromkeys(("class_counts", "test_recall", "data.mean", "schedule.milestones"), RANGE),
        dict.fromkeys(("scenario", "run", "error", "started_at", "status", "metric", "folder"), RANGE),
        dict.fromkeys(("loss.name", "class_balance.from_epoch", "augmentation.flip", "seeds.data"), RANGE),
        {"lam": {"low": 10**299, "high": 1}, "gamma": {"low": float("inf"), "high": float("nan")}},
        {"schedule.warmup_epochs": {"low": 1, "high": 5, "log": True}, "lam": {"low": 50.0, "high": 0.5}},
    ],
)
def test_space_that_names_columns_without_a_range(tmp_path: Path, search: object) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.search_rows(folder)
    for row in folder.trials:
        row["data_mean"], row["milestones"], row["error"] = [0.5, 0.2], [3, 4], "text"
    folder.write()
    (folder.path / "space.yaml").write_text(yaml.safe_dump(json.loads(json.dumps({"search": search}))))
    runs = load(folder.path)
    assert runs.problems == ()
    assert "best-" not in comma_separated(runs)
    assert "One seed" in report_html(runs)
    assert markdown(runs)
    assert not {"scenario", "error", "class_counts"} & set(runs.importance("fanova").parameter.dropna())


@pytest.mark.parametrize("content", ["a: [", "- 1", "search: 3", "search: {lam: 1}", "search: {lam: {low: x}}", ""])
def test_damaged_space(folder: Path, content: str) -> None:
    (folder / "space.yaml").write_text(content)
    assert "best-1" in report_html(load(folder))


def test_no_trial_finished(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "none")
    folder.add("a", run_folders.config(), 0.5, status="diverged", num_epochs=0)
    folder.add("b", run_folders.config(), 0.5, status="failed", num_epochs=2, error="MemoryError")
    runs = load(folder.write())
    assert runs.best().empty
    assert [one.outcome for one in runs.verdicts()] == ["nothing finished"]
    assert "1 of 2 search trials failed: MemoryError." in runs.cautions().text.tolist()
    page = report_html(runs)
    assert "there is nothing to choose" in page
