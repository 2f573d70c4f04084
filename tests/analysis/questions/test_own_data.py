"""Results of a user's own images: data sets and classes keep their names, and classes without images are named."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from absgd import records
from analysis import load
from analysis.figures.class_figures import recall_drawing, weights_drawing
from analysis.report.html_report import report_html
from analysis.report.text_report import comma_separated, latex, markdown
from tests.support import run_folders
from tests.support.run_folders import config

NAMES = ["dress", "<b>coat</b>", "shirt", "bag"]


def own_run(path: Path, root: str, value: float, **settings: object) -> Path:
    """Write a run folder of one trial on images in the folder `root`, as the version before `data.title` did."""
    folder = run_folders.RunFolderBuilder(path, "imagefolder")
    folder.add("t", config(data__name="imagefolder", data__root=root, **settings), value)
    return folder.write()


def with_names(path: Path, scenario: str, names: list[str]) -> Path:
    """Record names of classes in a run folder."""
    folder = records.scenario_folder(path, scenario)
    folder.mkdir(parents=True)
    table = records.class_table(names, [1] * len(names), [1] * len(names))
    records.write_table(folder / records.CLASSES_FILE, table)
    return path


def test_two_folders_of_images_are_two_data_sets(tmp_path: Path) -> None:
    paths = [own_run(tmp_path / "a", "/x/birds", 0.7), own_run(tmp_path / "b", "/x/fish", 0.8)]
    best = load(paths).best()
    assert best.data_title.tolist() == ["birds", "fish"]
    assert best.val_mean.tolist() == [0.7, 0.8]


def test_titles_that_are_given_and_those_of_published_data(tmp_path: Path) -> None:
    titled = own_run(tmp_path / "a", "/x/birds", 0.7, data__title="My Birds")
    plain = run_folders.searched(tmp_path / "b")
    runs = load([titled, plain])
    assert set(runs.trials.data_title.fillna(runs.trials.dataset)) == {"My Birds", "digits"}
    assert len(runs.best()) == 2


def test_clean_and_noisy_searches_are_not_merged(tmp_path: Path) -> None:
    noise = {"noise__type": "symmetric", "noise__rate": 0.4}
    paths = [own_run(tmp_path / "a", "/x/birds", 0.9), own_run(tmp_path / "b", "/x/birds", 0.5, **noise)]
    runs = load(paths)
    assert runs.best().val_mean.tolist() == [0.9, 0.5]
    with pytest.warns(
        UserWarning, match="groups by dataset, metric mix runs that differ in `noise_type`, `noise_rate`"
    ):
        assert len(runs.best(by="dataset")) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs.best(by=["folder"])


def test_classes_are_shown_by_name(tmp_path: Path) -> None:
    path = with_names(run_folders.confirmed(tmp_path / "run"), "digits-exp-0.05", NAMES)
    runs = load(path)
    assert runs.problems == ()
    recall = runs.recall_by_class()
    assert recall[recall["class"] == 2].class_name.unique().tolist() == ["shirt"]
    weights = runs.attention_weights()
    assert weights[weights.group == "2"].class_name.unique().tolist() == ["shirt"]
    drawing, other = recall_drawing(runs), weights_drawing(runs)
    assert drawing is not None
    assert other is not None
    assert "shirt (20)" in drawing.figure.data[0].x
    assert "shirt (20)" in [trace.name for trace in other.figure.data]
    assert "<b>coat" not in report_html(runs)


def test_published_names_without_a_record(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run", "fashion")
    folder.add("t", config(data__name="fashion_mnist"), 0.8)
    assert load(folder.write()).recall_by_class().class_name.tolist() == ["T-shirt/top", "trouser", "pullover", "dress"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}"])
def test_damaged_names_are_reported(tmp_path: Path, content: bytes) -> None:
    path = with_names(run_folders.searched(tmp_path / "run"), "digits-exp-0.05", NAMES)
    (path / "scenarios" / "digits-exp-0.05" / "classes.parquet").write_bytes(content)
    runs = load(path)
    assert [problem.text.split(":")[0] for problem in runs.problems] == [
        "cannot read scenarios/digits-exp-0.05/classes.parquet"
    ]
    assert runs.recall_by_class().class_name.iloc[0] == "0"


def test_classes_without_a_test_image_are_named(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run")
    for seed in range(3):
        seeds = {"seeds__data": seed, "seeds__train": seed}
        row = folder.add(f"t{seed}", config(**seeds), 0.8, phase="confirm", candidate="best-1", test=0.9)
        row["test_recall"] = [0.9, None, 0.9, None]
    runs = load(with_names(folder.write(), "digits-exp-0.05", NAMES))
    text = runs.cautions().set_index("kind").text["classes"]
    assert text == (
        "There is no test image of class <b>coat</b>, bag: accuracies on test are means over 2 of 4 classes."
    )
    best = runs.best().iloc[0]
    assert (best.num_classes, best.val_classes, best.test_classes) == (4, 4, 2)
    assert "Test accuracies are over 2 of 4 classes." in markdown(runs)
    assert "Test accuracies are over 2 of 4 classes." in latex(runs)
    assert "test_classes" in comma_separated(runs).splitlines()[0]


def test_classes_without_a_validation_image_are_named(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run")
    folder.add("t", config(), 0.8)
    for row in folder.epochs:
        row["val_recall"] = [None, 0.9, 0.9, 0.9]
    runs = load(folder.write())
    assert "Validation accuracies are over 3 of 4 classes." in report_html(runs)
    text = runs.cautions().set_index("kind").text["classes"]
    assert text == "There is no validation image of class 0: accuracies on validation are means over 3 of 4 classes."


def test_a_mean_over_fewer_tests_than_runs_is_not_given(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run")
    for seed, test in enumerate((0.5, 0.9, None)):
        seeds = {"seeds__data": seed, "seeds__train": seed}
        folder.add(f"t{seed}", config(**seeds), 0.8, phase="confirm", candidate="best-1", test=test)
    runs = load(folder.write())
    row = runs.best().iloc[0]
    assert (row.n, row.num_seeds) == (3, 3)
    assert row.test_mean != row.test_mean
    assert "best-1 was not tested on 1 of 3 fresh seeds: it has no mean on test." in runs.cautions().text.tolist()


def test_seeds_that_are_lost_are_counted(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run")
    for seed in range(3):
        seeds = {"seeds__data": seed, "seeds__train": seed}
        status: records.Status = "diverged" if seed == 2 else "completed"
        folder.add(f"t{seed}", config(**seeds), 0.8, phase="confirm", candidate="best-1", status=status)
    row = load(folder.write()).best().iloc[0]
    assert (row.n, row.num_seeds) == (2, 3)


def test_a_mean_of_more_epochs_than_there_are_is_said(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run")
    folder.add("t", config(), 0.8)
    path = folder.write()
    text = load(path, rule="mean_last_k", last_k=99).cautions().set_index("kind").text["rule"]
    assert text == "The mean of the last 99 epochs is that of 10 epochs: the runs have no more."
    assert "rule" not in set(load(path, rule="mean_last_k", last_k=10).cautions().kind)


def test_a_missing_epoch_leaves_no_mean(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "run")
    folder.add("t", config(), 0.8)
    folder.epochs[-2]["val_balanced_accuracy"] = None
    path = folder.write()
    assert load(path, rule="mean_last_k", last_k=3).best().empty
    assert not load(path, rule="mean_last_k", last_k=1).best().empty
