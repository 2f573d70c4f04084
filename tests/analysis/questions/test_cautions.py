"""Reasons to doubt a choice are found and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load
from analysis.frames.searched_parameters import SearchedParameter, searched_parameters
from analysis.report.text_report import markdown
from tests.support import run_folders
from tests.support.run_folders import config


def cautions(folder: run_folders.RunFolderBuilder, **space: Any) -> dict[str, str]:
    frame = load(folder.write(space)).cautions()
    return dict(zip(frame.kind, frame.text, strict=True))


@pytest.mark.parametrize(
    ("parameter", "value", "side"),
    [
        (SearchedParameter("lam", 0.5, 50, log=True), 0.55, "low"),
        (SearchedParameter("lam", 0.5, 50, log=True), 5.0, None),
        (SearchedParameter("lam", 0.5, 50, log=True), 45.0, "high"),
        (SearchedParameter("lam", 0.5, 50, log=True, by_magnitude=True), -45.0, "high"),
        (SearchedParameter("gamma", 0.1, 1.0), 0.99, None),  # the method itself ends there
        (SearchedParameter("gamma", 0.1, 0.9), 0.89, "high"),
        (SearchedParameter("gamma", 0.1, 1.0), 0.12, "low"),
        (SearchedParameter("switch_epoch", 10, 16, whole=True), 10, "low"),
        (SearchedParameter("switch_epoch", 10, 16, whole=True), 11, None),
        (SearchedParameter("loss"), 1.0, None),
        (SearchedParameter("lr", 0.1, 0.1), 0.1, None),
    ],
)
def test_edge_of_a_range(parameter: SearchedParameter, value: float, side: str | None) -> None:
    assert parameter.edge(value) == side


def test_best_at_the_edge_of_the_space(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(attention__lam=49.0), 0.8)
    text = cautions(folder)["edge"]
    assert text == "The best lambda, 49, is at the edge of the space (high end 50): search higher values too."


def test_negative_lambda_by_its_magnitude(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(attention__lam=-0.51), 0.8)
    search = {"lam": {"low": 0.5, "high": 50.0, "log": True, "sign": [-1]}}
    assert "low end 0.5" in cautions(folder, search=search)["edge"]
    other = {"lam": {"low": -50.0, "high": -0.5, "log": True}}
    assert "low end 0.5" in cautions(folder, search=other)["edge"]


def test_trials_diverged_where(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(attention__lam=0.6), 0.0, status="diverged", num_epochs=0)
    folder.add("b", config(attention__lam=4.0), 0.8)
    assert cautions(folder)["diverged"] == "1 of 2 search trials diverged, all of them with lambda up to 0.6."


def test_few_seeds(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder, [0.01, 0.02], [0.01, 0.02])
    assert cautions(folder)["seeds"] == "2 fresh seeds: fewer than 3 say little."


def test_pairs_of_different_images(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    next(row for row in folder.trials if row["candidate"] == "ce")["split_hash"] = "other"
    assert "so they do not form pairs" in cautions(folder)["split"]


def test_complete_confirmation_has_no_caution(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    assert cautions(folder) == {}


def test_control_ahead_on_both_sides_is_not_a_disagreement(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "focal":
            row.update(test_balanced_accuracy=0.95, metric_last=0.95)
    assert "order" not in cautions(folder)
    for row in folder.trials:
        if row["candidate"] == "focal":
            row.update(metric_last=0.1)
    assert "candidates and controls: focal loss (95.00 % on test)" in cautions(folder)["order"]
    focal = [row for row in folder.trials if row["candidate"] == "focal"]
    folder.trials.remove(focal[-1])
    assert "order" not in cautions(folder), "means over other pairs of seeds are not compared"


def test_parameters_of_a_space_without_file() -> None:
    trials = pd.DataFrame({"lam": [1.0, 2.0], "gamma": [0.5, 0.5], "seed_data": [0, 1], "params/x": [1, 2]})
    assert [one.column for one in searched_parameters({}, trials)] == ["lam", "params/x"]


def test_dotted_settings_have_their_columns() -> None:
    space = {"search": {"optimizer.lr": {"choices": [0.1, 0.2]}, "switch_epoch": {"low": 1, "high": 5, "type": "int"}}}
    trials = pd.DataFrame({"lr": [0.1], "switch_epoch": [2]})
    found = searched_parameters(space, trials)
    assert [(one.column, one.is_range, one.whole) for one in found] == [
        ("lr", False, False),
        ("switch_epoch", True, True),
    ]


def test_control_that_never_completed_is_named_with_its_reason(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "focal":
            row.update(status="failed", error="CUDA out of memory", test_balanced_accuracy=None)
    runs = load(folder.write())
    assert "focal loss did not complete on 5 of 5 fresh seeds: CUDA out of memory." in runs.cautions().text.tolist()
    assert "0 of 5" in markdown(runs)


def test_controls_of_another_configuration_than_the_winner(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "ce-lr":
            row["lr"] = 0.07
        if row["candidate"] == "focal":
            row.update(candidate="ldam-drw", class_balance_from_epoch="4")
    texts = load(folder.write()).cautions().set_index("kind").text["control"].tolist()
    assert texts == [
        "The control plain cross entropy at lr / ab_alpha was trained at 0.07, "
        "not at lr / ab_alpha of the winner, 0.1.",
        "The control deferred LDAM reweights after 4 epochs, not after 5 epochs as the winner.",
    ]


@pytest.mark.parametrize("lost", ["lr", "ab_alpha", "switch_epoch", "class_balance_from_epoch"])
def test_version_without_a_setting_of_the_controls_has_no_caution_about_it(tmp_path: Path, lost: str) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        row[lost] = None
        if row["candidate"] == "focal":
            row["candidate"] = "ldam-drw"
    assert "control" not in set(load(folder.write()).cautions().kind)


def test_long_error_of_a_lost_seed_is_cut(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "focal":
            row.update(status="failed", error="x" * 10_000, test_balanced_accuracy=None)
    (text,) = (text for text in load(folder.write()).cautions().text if "did not complete" in text)
    assert text.endswith("x" * 300 + "....")
