"""Kept predictions in the report: the table, the calibration figure and the confusion matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from absgd import records
from analysis import Runs, load
from analysis.figures.prediction_figures import MOST_CONFUSIONS, calibration_drawing, confusion_drawings
from analysis.questions.confusions import best_control, class_names, confusion_grid, top_confusions
from analysis.report.html_report import report_html
from analysis.report.prediction_tables import prediction_table
from analysis.report.text_report import markdown
from tests.support import run_folders

BEST, CONTROL = "best-1", "ce-lr"
"""The configuration, and the control that it is least ahead of in `run_folders.confirm_rows`."""


def many_classes(path: Path, num_classes: int = 100) -> Runs:
    folder = run_folders.RunFolderBuilder(path)
    run_folders.confirm_rows(folder)
    for place, row in enumerate(folder.trials):
        row["class_counts"] = [100] * num_classes
        test = run_folders.made_up_predictions(place, 3 * num_classes, 0.8, num_classes)
        row["test_accuracy"] = float((test.logits_NC.argmax(axis=1) == test.labels_N).mean())
        file = records.predictions_file(folder.path, row["trial_id"])
        file.parent.mkdir(parents=True, exist_ok=True)
        records.write_table(file, records.prediction_table({"test": test}))
    return load(folder.write())


def test_table_has_the_mean_numbers_of_winner_and_controls(predicted: Runs) -> None:
    table = prediction_table(predicted)
    assert table is not None
    assert table.title == "Predictions on test"
    assert table.columns[-1] == "best minus this"
    numbers = predicted.prediction_numbers().query("split == 'test'")
    means = numbers.groupby("configuration", sort=False).mean(numeric_only=True)
    columns = {"calibration error": "calibration_error", "macro-F1": "macro_f1", "few": "few_accuracy"}
    for name, column in columns.items():
        place = table.columns.index(name)
        assert [row[place].value for row in table.rows] == pytest.approx(means[column].tolist())
    differences = predicted.image_differences()
    assert [row[-1].value for row in table.rows[1:]] == pytest.approx(differences.difference.tolist())
    assert np.isnan(float(table.rows[0][-1].value or 0))


def test_table_shows_intervals_from_three_seeds_on(tmp_path: Path) -> None:
    def last_cells(num_seeds: int) -> list[str]:
        folder = run_folders.RunFolderBuilder(tmp_path / str(num_seeds))
        run_folders.confirm_rows(folder, run_folders.GAINS[:num_seeds], run_folders.GAINS_LR[:num_seeds])
        run_folders.prediction_rows(folder)
        table = prediction_table(load(folder.write()))
        assert table is not None
        return [row[-1].text for row in table.rows[1:]]

    assert all(" to " in text for text in last_cells(3))
    assert not any(" to " in text for text in last_cells(2))


def test_figures_have_the_numbers_of_the_frames(predicted: Runs) -> None:
    comparisons = predicted.compare(control=None)
    drawing = calibration_drawing(predicted, comparisons)
    assert drawing is not None
    _, ours, theirs = drawing.figure.data
    assert (ours.name, theirs.name) == (BEST, "plain cross entropy at lr / ab_alpha")
    bins = predicted.calibration().query("configuration == @BEST and num_images >= 10")
    assert list(ours.x) == pytest.approx((100 * bins.confidence).tolist(), rel=1e-5)
    assert list(ours.y) == pytest.approx((100 * bins.accuracy).tolist(), rel=1e-5)
    errors = predicted.prediction_numbers().query("split == 'test'").groupby("configuration").calibration_error.mean()
    assert f"best-1 differ by {100 * errors[BEST]:.1f} points on average" in drawing.caption
    assert f"lr / ab_alpha by {100 * errors[CONTROL]:.1f} (expected" in drawing.caption
    first, second = confusion_drawings(predicted, comparisons)
    assert second.title == "What plain cross entropy at lr / ab_alpha takes for what"
    cells = predicted.confusion().query("configuration == @BEST")
    (heatmap,) = first.figure.data
    grid = 100 * confusion_grid(cells, class_names(cells)).share_CC
    assert np.array(heatmap.z) == pytest.approx(grid, rel=1e-5)
    assert grid.sum(axis=1) == pytest.approx([100] * 4)
    worst = cells[cells.label != cells.predicted].sort_values("share").iloc[-1]
    assert f"class {worst.label_name} is taken for class {worst.predicted_name}" in first.caption


def test_many_classes_are_shown_by_their_most_frequent_confusions(tmp_path: Path) -> None:
    runs = many_classes(tmp_path / "many")
    comparisons = runs.compare(control=None)
    (drawing,) = confusion_drawings(runs, comparisons)
    ours, theirs = drawing.figure.data
    assert len(ours.x) == len(theirs.x) == MOST_CONFUSIONS
    assert list(ours.x) == sorted(ours.x)
    cells = runs.confusion().query("configuration == @BEST")
    wrong = cells[cells.label != cells.predicted]
    assert ours.x[-1] == pytest.approx(100 * wrong.share.max())
    assert int(drawing.figure.layout.height) < 700
    assert f"The {MOST_CONFUSIONS} most frequent confusions among 100 classes" in drawing.caption


def test_top_confusions_are_zero_where_a_control_has_none(predicted: Runs) -> None:
    cells = predicted.confusion()
    others = cells[(cells.configuration != CONTROL) | (cells.label == cells.predicted)]
    table = top_confusions(others, [BEST, CONTROL], most=4)
    assert table.columns.tolist() == ["label_name", "predicted_name", BEST, CONTROL]
    assert table[BEST].is_monotonic_decreasing
    assert set(table[CONTROL]) == {0.0}


def test_best_control_is_the_one_that_the_configuration_is_least_ahead_of(predicted: Runs) -> None:
    comparisons = predicted.compare(control=None)
    assert best_control(comparisons, ["ce", "ce-lr", "focal"]) == CONTROL
    assert best_control(comparisons, ["ce", "focal"]) == "ce"
    assert best_control(comparisons, []) is None
    assert best_control(comparisons.head(0), ["focal", "ce"]) == "focal"


def test_page_and_markdown_have_the_predictions(predicted: Runs) -> None:
    page, text = report_html(predicted), markdown(predicted)
    for part in ("Predictions on test", "Can its confidence be trusted?", "What best-1 takes for what"):
        assert part in page
    assert "### Predictions on test" in text
    assert "calibration error" in text


def test_folder_without_predictions_shows_nothing_of_them(full: Runs) -> None:
    comparisons = full.compare(control=None)
    assert prediction_table(full) is None
    assert calibration_drawing(full, comparisons) is None
    assert confusion_drawings(full, comparisons) == []
    assert "Predictions on" not in report_html(full) + markdown(full)
