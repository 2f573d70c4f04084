"""Experiment folders of plain Ray Tune scripts, in the format that Ray writes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from absgd import records
from absgd.errors import UserError
from analysis import load
from analysis.report.html_report import report_html


class Bomb:
    """An object whose unpickling fails the test."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("something was unpickled",)


def experiment(path: Path, *, metric: str = "val_accuracy", **more: Any) -> Path:
    """Write three trials of 5 epochs, the last stopped after 2, each with a pickle that must not be opened."""
    for number, epochs in enumerate((5, 5, 2)):
        folder = path / f"train_{number:05d}"
        folder.mkdir(parents=True)
        params = {"lambda": 2.0 + number, "gamma": 0.5, "dataset": "cifar10", "imb_type": "exp", "imb_factor": 0.1}
        (folder / "params.json").write_text(json.dumps({**params, "width": 8 * number, **more}))
        (folder / "params.pkl").write_bytes(pickle.dumps(Bomb()))
        lines = [
            {metric: 0.5 + 0.01 * number + 0.1 * k, "training_iteration": k + 1, "time_total_s": 2.0 * (k + 1)}
            for k in range(epochs)
        ]
        (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_same_frames(tmp_path: Path) -> None:
    runs = load(experiment(tmp_path / "old"))
    trials = runs.trials.set_index("trial_id")
    assert list(runs.trials.columns) == ["folder", *records.TRIAL_SCHEMA.names, "params/width"]
    assert list(runs.epochs.columns) == ["folder", *records.EPOCH_SCHEMA.names]
    assert trials.status.tolist() == ["completed", "completed", "pruned"]
    assert trials.lam.tolist() == [2.0, 3.0, 4.0]
    assert trials["params/width"].tolist() == [0, 8, 16]
    assert set(trials.scenario) == {"cifar10-exp-0.1"}
    assert trials.metric_last.tolist() == pytest.approx([0.9, 0.91, 0.62])
    assert trials.wall_s.tolist() == [10.0, 10.0, 4.0]
    assert runs.epochs.groupby("trial_id").epoch.max().tolist() == [4, 4, 1]
    assert [str(problem) for problem in runs.problems] == [
        f"{tmp_path}/old: 1 trial ended before the longest one (5 epochs): taken as stopped early"
    ]
    assert runs.best().trial_id.tolist() == ["train_00001"]
    assert [one.outcome for one in runs.verdicts()] == ["no control"]


def test_ray_folder_next_to_our_own_folders(tmp_path: Path, full_folder: Path) -> None:
    runs = load([experiment(tmp_path / "old"), full_folder])
    assert len(runs.trials) == 3 + 47
    assert str(runs.trials["params/width"].dtype) == "Int64"


def test_names_are_mapped_to_ours(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", metric="top1", tau=0.5)
    with pytest.raises(UserError, match=r"no known metric is reported: say which.*'top1'"):
        load(path)
    runs = load(path, names={"top1": "val_balanced_accuracy", "tau": "class_tau"})
    assert set(runs.trials.metric) == {"val_balanced_accuracy"}
    assert set(runs.trials.class_tau) == {0.5}
    with pytest.raises(UserError, match="no column `val_acuracy`; did you mean `val_accuracy`"):
        load(path, names={"top1": "val_acuracy"})
    with pytest.raises(UserError, match="no metric `val_los`; did you mean `val_loss`"):
        load(path, metric="val_los")


def test_nested_parameters(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", optim={"lr": 0.1, "nesterov": True})
    trials = load(path).trials
    assert set(trials.lr) == {0.1}
    assert set(trials["params/optim/nesterov"]) == {True}


def test_torn_lines_and_odd_numbers(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with (path / "train_00000" / "result.json").open("a") as file:
        file.write('{"val_accuracy": NaN, "training_iteration": 6}\n{"val_accuracy": 0.')
    (path / "train_00001" / "params.json").write_text("{")
    (path / "train_00002" / "error.txt").write_text("boom")
    runs = load(path)
    told = "\n".join(map(str, runs.problems))
    assert "train_00000/result.json: 1 damaged line left out" in told
    assert "cannot read train_00001/params.json" in told
    assert "train_00001: no readable params.json; left out" in told
    assert runs.trials.status.tolist() == ["completed", "failed"]
    assert runs.epochs.val_accuracy.isna().sum() == 1


def test_restored_trials_report_an_epoch_twice(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with (path / "train_00000" / "result.json").open("a") as file:
        file.write('{"val_accuracy": 0.77, "training_iteration": 5}\n')
    runs = load(path)
    own = runs.epochs[runs.epochs.trial_id == "train_00000"]
    assert own.epoch.tolist() == [0, 1, 2, 3, 4]
    assert own.val_accuracy.iloc[-1] == 0.77


def test_numbers_too_large_are_lost_and_reported(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", width2=10**30, batch_size=10**30, weight_decay=10**400, rate=float("inf"))
    line = {"val_accuracy": 10**400, "val_loss": float("inf"), "training_iteration": 10**30, "epoch": 10**30}
    with (path / "train_00002" / "result.json").open("a") as file:
        file.write(json.dumps({**line, "time_total_s": 10**400}) + "\n")
    runs = load(path)
    told = [problem.text for problem in runs.problems]
    lost = "number too large, left out: batch_size"
    assert told[0] == f"train_00000: {lost}, rate, weight_decay, width2"
    assert told[2] == f"train_00002: {lost}, epoch, rate, val_accuracy, val_loss, weight_decay, width2"
    assert len(runs.trials) == 3
    assert runs.best().trial_id.tolist() == ["train_00001"]
    assert runs.trials.batch_size.isna().all()
    assert not [name for name in runs.trials.columns if name in ("params/width2", "params/rate")]
    assert runs.epochs[runs.epochs.trial_id == "train_00002"].epoch.tolist() == [0, 1, 2]
    assert "One seed" in report_html(runs)


def test_large_numbers_that_fit_are_kept(tmp_path: Path) -> None:
    runs = load(experiment(tmp_path / "old", seed=2**53 + 1, lr=10**30))
    assert set(runs.trials.seed_train) == {2**53 + 1}
    assert set(runs.trials.lr) == {1e30}
    assert len(runs.problems) == 1


def test_a_trial_that_reached_its_own_epochs_is_finished(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    for name, epochs in (("train_00001", 200), ("train_00002", 2)):
        file = path / name / "params.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "num_epochs": epochs}))
    runs = load(path)
    assert runs.trials.status.tolist() == ["completed"] * 3
    assert runs.trials.epochs.tolist() == [5, 200, 2]
    assert runs.problems == ()


def test_without_results(tmp_path: Path) -> None:
    (tmp_path / "old" / "train_00000").mkdir(parents=True)
    (tmp_path / "old" / "train_00000" / "params.json").write_text("{}")
    with pytest.raises(UserError, match="no known metric"):
        load(tmp_path / "old")
