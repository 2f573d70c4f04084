"""Curves, stops, landscapes, classes and savings, compared with plain loops."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from absgd.errors import UserError
from analysis import Runs, load
from analysis.questions.learning_curves import stops, winner_curves
from tests.support import run_folders
from tests.support.run_folders import EPOCHS, SIZES, config


def test_curves_are_the_epochs_with_their_age(full: Runs) -> None:
    frame = full.curves()
    assert len(frame) == len(full.epochs)
    own = frame[frame.trial_id == "digits-exp-0.05-best-1-0"]
    assert own.epoch.tolist() == list(range(EPOCHS))
    assert own.age.dropna().tolist() == [1, 2, 3, 4, 5]  # its switch is 5
    rows = full.epochs[full.epochs.trial_id == "digits-exp-0.05-best-1-0"]
    assert own.value.tolist() == rows.val_balanced_accuracy.tolist()
    assert full.curves("val_loss").value.tolist() != frame.value.tolist()
    with pytest.raises(UserError, match=r"no curve of 'val_los'; did you mean `val_loss`"):
        full.curves("val_los")


def test_stops_are_counted_where_trials_ended(full: Runs) -> None:
    pruned = full.trials[full.trials.status == "pruned"]
    counted: dict[int, int] = {}
    for trained, inherited in zip(pruned.epochs_trained, pruned.epochs_inherited, strict=True):
        counted[trained + inherited] = counted.get(trained + inherited, 0) + 1
    frame = stops(full)
    assert dict(zip(frame.epochs_done, frame.num_stopped, strict=True)) == counted


def test_mean_curves_of_the_winner_and_its_controls(full: Runs) -> None:
    frame = winner_curves(full)
    assert frame.configuration.unique().tolist() == ["best-1", "ce", "ce-lr", "focal", "balanced-softmax"]
    own = frame[(frame.configuration == "ce") & (frame.epoch == 9)].iloc[0]
    ends = full.trials[full.trials.candidate == "ce"].metric_last.tolist()
    assert (own["mean"], own["std"]) == pytest.approx((statistics.fmean(ends), statistics.stdev(ends)))
    assert own.n == 5


def test_landscape_has_every_search_trial(full: Runs) -> None:
    frame = full.landscape("lam", "gamma")
    assert len(frame) == 16
    assert frame.score.notna().tolist() == (frame.status == "completed").tolist()
    with pytest.raises(UserError, match="no setting 'lamda'; did you mean `lam`"):
        full.landscape("lamda")


def test_recall_of_each_class_is_a_mean_over_seeds(full: Runs) -> None:
    frame = full.recall_by_class()
    own = frame[(frame.configuration == "best-1") & (frame["class"] == 3)].iloc[0]
    tests = full.trials[full.trials.candidate == "best-1"].test_recall.tolist()
    assert own.recall == pytest.approx(statistics.fmean(recall[3] for recall in tests))
    assert (own.num_train, own.on, own.n) == (SIZES[3], "test", 5)


def test_recall_before_confirmation_is_on_validation(searched: Runs) -> None:
    frame = searched.recall_by_class()
    assert set(frame.on) == {"validation"}
    assert frame.configuration.unique().tolist() == [searched.best().trial_id.iloc[0], "ce"]
    own = searched.epochs[searched.epochs.trial_id == "digits-exp-0.05-control"].val_recall.iloc[-1]
    assert frame[frame.configuration == "ce"].recall.tolist() == pytest.approx(own)


def test_recall_of_a_class_that_is_missing(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(), 0.8)
    for row in folder.epochs:
        row["val_recall"] = [0.5, None, 0.4, 0.3]
    frame = load(folder.write()).recall_by_class()
    assert frame.n.tolist() == [1, 0, 1, 1]


def test_weights_of_each_class(full: Runs) -> None:
    frame = full.attention_weights()
    assert set(frame.kind) == {"class"}
    own = frame[frame.group == "3"]
    assert own.weight.tolist() == [1.0] * 5 + [1.5] * 5
    assert set(own.num_train) == {SIZES[3]}


def test_weights_of_clean_and_changed_labels(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(noise__type="symmetric", noise__rate=0.4), 0.8)
    frame = load(folder.write()).attention_weights()
    changed = frame[(frame.kind == "label") & (frame.group == "changed")]
    assert changed.weight.tolist() == [1.0] * 5 + [0.4] * 5


def test_savings_add_up(full: Runs) -> None:
    row = full.savings().iloc[0]
    search = full.trials[full.trials.phase.isin(["search", "control"])]
    assert row.num_trials == 17
    assert row.epochs_from_scratch == 17 * EPOCHS
    assert row.epochs_trained == search.epochs_trained.sum()
    parts = row.epochs_trained + row.epochs_saved_by_trunk + row.epochs_saved_by_stopping + row.epochs_lost
    assert parts == row.epochs_from_scratch
    assert row.epochs_lost == 3  # the diverged trial
    assert row.times_fewer == pytest.approx(170 / row.epochs_trained)
