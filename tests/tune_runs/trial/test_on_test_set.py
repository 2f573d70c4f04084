"""The test set after the last epoch and after the chosen one, of runs that fork, resume and train from scratch."""

from __future__ import annotations

import dataclasses
import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits, load_test
from absgd.training import Trainer
from tests.support.memory_store import MemoryStore
from tests.support.reported_runs import reports_of
from tune_runs.trial.on_test_set import measure_on_test_set
from tune_runs.trial.trial_plan import CheckpointUse
from tune_runs.trial.trial_reports import TrialReport
from tune_runs.trial.trial_run import TrialRun
from tune_runs.trunks.trunk_use import TrunkUse

METRIC = "val_loss"
CONFIG = RunConfig.from_dict(
    {
        "data": {"name": "digits", "val_per_class": 5, "n_max": 20},
        "model": {"name": "resnet8"},
        # Stage two with such weights undoes what stage one has learnt: the chosen epoch is before the switch.
        "attention": {"lam": 0.5, "gamma": 0.9, "ab_alpha": 0.05, "switch_epoch": 4},
        "optimizer": {"lr": 0.05, "grad_clip": 5.0},
        "epochs": 6,
        "batch_size": 32,
        "device": {"type": "cpu", "threads": 1},
    }
)
CHOSEN = (
    "test_chosen_loss",
    "test_chosen_accuracy",
    "test_chosen_balanced_accuracy",
    "test_chosen_macro_f1",
    "test_chosen_worst_recall",
    "test_chosen_calibration_error",
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(CONFIG)


@pytest.fixture(scope="module")
def from_scratch(splits: Splits) -> tuple[int, dict[str, Any]]:
    """The chosen epoch of a run from scratch, and the columns of the test set."""
    trainer, images = Trainer(CONFIG, splits), load_test(CONFIG)
    done = [(record.val_loss, dataclasses.asdict(trainer.test(images))) for record in trainer.epochs()]
    chosen = min(range(len(done)), key=lambda epoch: done[epoch][0])
    names = (name.replace("chosen_", "") for name in CHOSEN)
    return chosen, {**done[-1][1], **{f"test_chosen_{name[5:]}": done[chosen][1][name] for name in names}}


def run_of(config: RunConfig, splits: Splits, trunk: TrunkUse, own: Path | None = None) -> tuple[Trainer, TrialRun]:
    trainer = Trainer(config, splits)
    checkpoints = CheckpointUse(str(own), METRIC, str(own)) if own else None
    return trainer, TrialRun(trainer, trunk, checkpoints, origin=config.loss.name, metric=METRIC)


def epoch_of(report: TrialReport) -> int:
    assert report.epoch is not None
    return report.epoch.record.epoch


def measured_columns(report: TrialReport) -> dict[str, Any]:
    assert report.test is not None
    return report.test.columns


def trunk_use(folder: Path, start_at: int = 0, save_at: tuple[int, ...] = ()) -> TrunkUse:
    return TrunkUse(str(folder), CONFIG.stage_one_key(), "f" * 64, start_at, save_at)


@pytest.fixture(scope="module")
def trunk(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trunks")
    for _ in reports_of(*run_of(CONFIG.stage_one(), splits, trunk_use(folder, save_at=(4, 6)))):
        pass
    return folder


def test_fork_is_tested_at_a_chosen_epoch_that_its_trunk_has_trained(
    splits: Splits, trunk: Path, from_scratch: tuple[int, dict[str, Any]]
) -> None:
    chosen, columns = from_scratch
    assert chosen < 4, "in stage one"
    found = list(reports_of(*run_of(CONFIG, splits, trunk_use(trunk, start_at=4)), measure_on_test_set))
    assert [len(found), len(found[0].earlier)] == [2, 4]
    assert found[0].test is None
    assert measured_columns(found[-1]) == columns


def test_resumed_run_is_tested_like_an_uninterrupted_one(
    splits: Splits, trunk: Path, tmp_path: Path, from_scratch: tuple[int, dict[str, Any]]
) -> None:
    use = trunk_use(trunk, start_at=4)
    first = reports_of(*run_of(CONFIG, splits, use, tmp_path / "own"), measure_on_test_set)
    next(first)
    again = list(reports_of(*run_of(CONFIG, splits, use, tmp_path / "own"), measure_on_test_set))
    assert [epoch_of(report) for report in again] == [4, 5]
    assert measured_columns(again[-1]) == from_scratch[1]
    ended = list(reports_of(*run_of(CONFIG, splits, use, tmp_path / "own"), measure_on_test_set))
    assert [epoch_of(report) for report in ended] == [5], "the driver died before it had its last report"
    assert measured_columns(ended[0]) == from_scratch[1]


def test_snapshots_without_the_best_model_are_trained_again(splits: Splits, tmp_path: Path) -> None:
    plain = Trainer(CONFIG.stage_one(), splits)
    for _ in reports_of(plain, TrialRun(plain, trunk_use(tmp_path, save_at=(4, 6)), origin="a search")):
        pass
    _, run = run_of(CONFIG, splits, trunk_use(tmp_path, start_at=4))
    assert run.begin().notes == ("starts after 0 epochs instead of 4",)


def test_the_test_set_is_read_once_for_both_epochs_and_leaves_the_model(
    splits: Splits, trunk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[RunConfig] = []
    monkeypatch.setattr(
        "tune_runs.trial.on_test_set.load_test", lambda config: (read.append(config), load_test(config))[1]
    )
    trainer, run = run_of(CONFIG, splits, trunk_use(trunk, start_at=4))
    *_, last = reports_of(trainer, run, measure_on_test_set)
    assert len(read) == 1
    assert trainer.test(load_test(CONFIG)).test_loss == measured_columns(last)["test_loss"]


def test_predictions_are_on_disk_before_the_report_and_written_again_after_a_kill(
    splits: Splits, trunk: Path, tmp_path: Path, from_scratch: tuple[int, dict[str, Any]]
) -> None:
    file = tmp_path / "predictions" / "run.parquet"
    read_test = functools.partial(measure_on_test_set, file=str(file))
    use = trunk_use(trunk, start_at=4)
    *_, last = reports_of(*run_of(CONFIG, splits, use, tmp_path / "own"), read_test)
    assert measured_columns(last) == from_scratch[1]
    assert last.notes == ()
    rows = pd.read_parquet(file)
    test = rows[rows.split == "test"]
    assert (np.stack(test.logits).argmax(axis=1) == test.label).mean() == from_scratch[1]["test_accuracy"]
    assert (rows.split == "validation").sum() == len(splits.val)
    content = file.read_bytes()
    file.unlink()  # as if the process had been killed between the two
    (again,) = reports_of(*run_of(CONFIG, splits, use, tmp_path / "own"), read_test)
    assert measured_columns(again) == from_scratch[1]
    assert file.read_bytes() == content


def test_predictions_of_a_node_that_does_not_see_the_run_folder_go_to_its_store(
    splits: Splits, trunk: Path, tmp_path: Path
) -> None:
    file, store = tmp_path / "predictions" / "run.parquet", MemoryStore()
    trainer, run = run_of(CONFIG, splits, trunk_use(trunk, start_at=4))
    run.store = store
    *_, last = reports_of(trainer, run, functools.partial(measure_on_test_set, file=str(file)))
    assert last.notes == ()
    assert not file.parent.exists()
    rows = pd.read_parquet(io.BytesIO(store.files[file]))
    assert set(rows.split) == {"test", "validation"}
    store.is_absent = True
    trainer, run = run_of(CONFIG, splits, trunk_use(trunk, start_at=4))
    run.store = store
    *_, last = reports_of(trainer, run, functools.partial(measure_on_test_set, file=str(file)))
    assert last.notes == (f"cannot write {file}: no answer: the run has no predictions",)


@pytest.mark.parametrize("is_over_budget", [True, False])
def test_predictions_that_cannot_be_written_are_named(
    splits: Splits, trunk: Path, tmp_path: Path, is_over_budget: bool
) -> None:
    file = tmp_path / "predictions" / "run.parquet"
    trainer, run = run_of(CONFIG, splits, trunk_use(trunk, start_at=4))
    if is_over_budget:
        run.use = CheckpointUse(str(tmp_path), METRIC, str(tmp_path), disk_budget=1000)
    else:
        file.parent.write_text("a file where the folder should be")
    *_, last = reports_of(trainer, run, functools.partial(measure_on_test_set, file=str(file)))
    (note,) = last.notes
    assert note.startswith(f"cannot write {file}: ")
    assert note.endswith(": the run has no predictions")
    assert last.is_over_budget == is_over_budget
    assert 0 <= measured_columns(last)["test_accuracy"] <= 1
