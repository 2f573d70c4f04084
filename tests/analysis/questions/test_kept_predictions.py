"""Kept predictions of a run folder: frames of numbers, calibration, confusion and differences, and what is left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from absgd.errors import UserError
from analysis import Runs, load
from tests.support import run_folders

CONFIRMED = [f"digits-exp-0.05-best-1-{k}" for k in range(5)]


def file_of(folder: Path, trial_id: str) -> Path:
    return folder / "predictions" / f"{trial_id}.parquet"


def test_numbers_of_each_run_are_those_of_its_file(predicted: Runs, predicted_folder: Path) -> None:
    frame = predicted.prediction_numbers()
    assert frame.configuration.unique().tolist() == ["best-1", "ce", "ce-lr", "focal", "balanced-softmax"]
    assert frame.groupby("split").size().to_dict() == {"test": 25, "validation": 25}
    row = frame[(frame.trial_id == CONFIRMED[2]) & (frame.split == "test")].iloc[0]
    rows = pd.read_parquet(file_of(predicted_folder, CONFIRMED[2])).query("split == 'test'")
    logits_NC = np.stack(rows.logits).astype(float)
    hits = logits_NC.argmax(axis=1) == rows.label
    recall = hits.groupby(rows.label).mean()
    assert row.accuracy == hits.mean() == predicted.trials.set_index("trial_id").test_accuracy[CONFIRMED[2]]
    assert row.balanced_accuracy == pytest.approx(recall.mean())
    assert (row.many_accuracy, row.medium_accuracy, row.few_accuracy) == pytest.approx(
        (recall[0], (recall[1] + recall[2]) / 2, recall[3])
    )
    log_p = log_softmax(logits_NC, axis=1)
    assert row.loss == pytest.approx(-log_p[np.arange(len(rows)), rows.label].mean())


def test_predictions_have_a_row_for_each_run_and_image(predicted: Runs) -> None:
    frame = predicted.predictions("test")
    assert len(frame) == 30 * run_folders.PREDICTED_IMAGES["test"]
    own = frame[frame.trial_id == CONFIRMED[0]]
    assert own["index"].tolist() == list(range(400))
    logits_NC = predicted.logits(CONFIRMED[0])
    assert logits_NC.shape == (400, 4)
    p_NC = np.exp(log_softmax(logits_NC.astype(float), axis=1))
    np.testing.assert_array_equal(own.prediction, p_NC.argmax(axis=1))
    np.testing.assert_allclose(own.probability, p_NC.max(axis=1))
    np.testing.assert_allclose(own.label_probability, p_NC[np.arange(400), own.label])
    assert set(predicted.predictions().split) == {"validation", "test"}


def test_calibration_and_confusion_pool_the_runs_of_a_configuration(predicted: Runs) -> None:
    bins = predicted.calibration()
    own = bins[bins.configuration == "best-1"]
    assert (len(own), int(own.num_images.sum()), set(own.on), set(own.n)) == (15, 5 * 400, {"test"}, {5})
    filled = own[own.num_images > 0]
    assert ((filled.low < filled.confidence) & (filled.confidence <= filled.high)).all()
    cells = predicted.confusion()
    mine = cells[cells.configuration == "best-1"]
    assert mine.groupby("label").num_images.sum().tolist() == [500] * 4
    assert mine.groupby("label").share.sum().tolist() == pytest.approx([1] * 4)
    numbers = predicted.prediction_numbers().query("configuration == 'best-1' and split == 'test'")
    hits = mine[mine.label == mine.predicted].num_images.sum()
    assert hits / 2000 == pytest.approx(numbers.accuracy.mean())


def test_image_differences_are_those_of_the_numbers(predicted: Runs) -> None:
    frame = predicted.image_differences()
    assert frame.control.tolist() == ["ce", "ce-lr", "focal", "balanced-softmax"]
    assert set(frame.metric) == {"balanced_accuracy"}
    means = predicted.prediction_numbers().query("split == 'test'").groupby("configuration").balanced_accuracy.mean()
    for row in frame.itertuples():
        assert row.difference == pytest.approx(means["best-1"] - means[row.control])
        assert row.low <= row.difference <= row.high
        assert (row.n, row.num_images) == (5, 400)
    losses = predicted.image_differences("loss")
    loss = predicted.prediction_numbers().query("split == 'test'").groupby("configuration").loss.mean()
    assert losses.difference.iloc[0] == pytest.approx(loss["ce"] - loss["best-1"]), "positive: the best is better"


def test_posthoc_adjustment_chooses_tau_on_validation(predicted: Runs) -> None:
    frame = predicted.posthoc_adjustment(taus=(0.0, 0.5, 1.0))
    assert len(frame) == 25
    row = frame[frame.trial_id == CONFIRMED[1]].iloc[0]
    shift = np.log(np.array(run_folders.SIZES) / sum(run_folders.SIZES))

    def balanced(split: str, tau: float) -> float:
        labels = predicted.predictions(split).query("trial_id == @CONFIRMED[1]").label.to_numpy()
        hits = (predicted.logits(CONFIRMED[1], split) - tau * shift).argmax(axis=1) == labels
        return float(np.mean([hits[labels == label].mean() for label in range(4)]))

    on_val = {tau: balanced("validation", tau) for tau in (0.0, 0.5, 1.0)}
    assert row.tau == max(on_val, key=lambda tau: (on_val[tau], -tau))
    assert (row.val_before, row.val_after) == pytest.approx((on_val[0.0], max(on_val.values())))
    assert (row.test_before, row.test_after) == pytest.approx((balanced("test", 0.0), balanced("test", row.tau)))


def test_folder_without_predictions_has_empty_frames_and_no_caution(full: Runs) -> None:
    for frame in (full.predictions(), full.prediction_numbers(), full.calibration(), full.confusion()):
        assert frame.empty
    assert full.image_differences().empty
    assert full.posthoc_adjustment().empty
    assert "predictions" not in set(full.cautions().kind)
    with pytest.raises(UserError, match=r"expected a run that kept its predictions, got 'digits-exp-0\.05-best-1-0'"):
        full.logits("digits-exp-0.05-best-1-0")


def test_missing_files_are_named_in_one_caution(tmp_path: Path, predicted_folder: Path) -> None:
    folder = shutil.copytree(predicted_folder, tmp_path / "some")
    for name in CONFIRMED[:4]:
        file_of(folder, name).unlink()
    runs = load(folder)
    text = runs.cautions().query("kind == 'predictions'").text.tolist()
    assert text == [f"4 runs of 25 kept no predictions: {', '.join(CONFIRMED[:3])}, ...."]
    assert runs.image_differences().n.tolist() == [1, 1, 1, 1]


def test_predictions_of_another_run_are_left_out(tmp_path: Path, predicted_folder: Path) -> None:
    folder = shutil.copytree(predicted_folder, tmp_path / "swapped")
    shutil.copy(file_of(folder, "digits-exp-0.05-focal-0"), file_of(folder, CONFIRMED[0]))
    (text,) = load(folder).cautions().query("kind == 'predictions'").text
    assert text.startswith(f"predictions/{CONFIRMED[0]}.parquet is left out: its accuracy on test is 0.")


def test_a_split_or_a_trial_that_does_not_exist(predicted: Runs) -> None:
    with pytest.raises(UserError, match=r"expected `validation` or `test`, got 'tset'; did you mean `test`\?"):
        predicted.predictions("tset")
    with pytest.raises(UserError, match="expected the `trial_id` of one run, got 'x', which 0 have"):
        predicted.logits("x")


def test_posthoc_adjustment_leaves_out_a_class_without_training_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = run_folders.RunFolderBuilder(tmp_path / "empty")
    run_folders.confirm_rows(builder)
    run_folders.prediction_rows(builder)
    builder.trials[0]["class_counts"] = [120, 60, 20, 0]
    runs = load(builder.write())
    assert builder.trials[0]["trial_id"] not in set(runs.posthoc_adjustment().trial_id)
    assert "is not adjusted post hoc: a class has no training image" in capsys.readouterr().err
