"""Searches in cohorts on CPU: the same bits as trials alone, and trials whose host is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from absgd import records
from absgd.datasets import load_splits
from absgd.training import Trainer
from tests.support.ray_searches import SMALL, search, small
from tests.support.ray_tasks import restarts_after_a_kill, tasks_of
from tests.support.waiting import wait_until

TWO = {"cpu": 2, "gpu": 0, "cohort": 2}


def space_of_cohorts(**changes: Any) -> Any:
    base = {**SMALL["base"], "epochs": changes.pop("epochs", 6), "optimizer": {"lr": 0.02}}
    return small(**{"scenarios": SMALL["scenarios"][:1], "base": base, "resources": TWO, **changes})


def test_search_in_cohorts_gives_the_bits_of_trials_alone_and_leaves_nothing(ray: None, tmp_path: Path) -> None:
    stopping = {"rule": "asha", "grace_period": 3, "reduction_factor": 2}
    confirm = {"max_pairs": 2, "controls": ["ce", "cb-ce-drw"]}
    space = space_of_cohorts(num_trials=5, early_stopping=stopping, confirm=confirm)
    found, printed = search(space, tmp_path / "two")
    assert found, printed
    trials = pd.read_parquet(tmp_path / "two/trials.parquet")
    assert set(trials.status) == {"completed", "pruned"}, trials.error.tolist()
    assert trials.restarts.eq(0).all()
    assert set(trials.phase) == {"control", "search", "confirm"}
    wait_until(lambda: not tasks_of("HostProcess"))
    epochs = pd.read_parquet(tmp_path / "two/epochs.parquet")
    for row in records.read_rows(tmp_path / "two/trials.parquet", records.TRIAL_SCHEMA):
        config = records.config_of(row)
        own = epochs[epochs.trial_id == row["trial_id"]]
        assert row["status"] == "pruned" or len(own) == config.epochs
        for record, there in zip(Trainer(config, load_splits(config)).epochs(), own.itertuples(), strict=False):
            assert there.train_loss == record.train_loss
            assert there.val_balanced_accuracy == record.val_balanced_accuracy
            assert there.val_loss == record.val_loss


def test_trials_whose_host_is_killed_resume_from_their_checkpoints(ray: None, tmp_path: Path) -> None:
    space = space_of_cohorts(num_trials=1, epochs=40, early_stopping=None)
    assert restarts_after_a_kill(space, tmp_path, "HostProcess") >= 1
