"""Searches whose trials train on two ranks on CPU, and trials with a killed rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd import records
from absgd.datasets import load_splits
from absgd.training import Trainer
from tests.support.ray_searches import SMALL, search, small
from tests.support.ray_tasks import restarts_after_a_kill, tasks_of
from tests.support.waiting import wait_until

TWO_ON_CPU = {"cpu": 1, "gpu": 0, "ranks_per_trial": 2}


def space_of_two(**changes: Any) -> Any:
    base = {**SMALL["base"], "epochs": changes.pop("epochs", 6), "optimizer": {"lr": 0.02}}
    return small(**{"scenarios": SMALL["scenarios"][:1], "base": base, "resources": TWO_ON_CPU, **changes})


def test_search_with_early_stopping_leaves_nothing_and_its_trials_equal_one_process(ray: None, tmp_path: Path) -> None:
    import ray as core
    from ray.util import placement_group_table

    groups = set(placement_group_table())
    stopping = {"rule": "asha", "grace_period": 3, "reduction_factor": 2}
    found, printed = search(space_of_two(num_trials=4, early_stopping=stopping), tmp_path / "two")
    assert found, printed
    trials = pd.read_parquet(tmp_path / "two/trials.parquet")
    assert set(trials.status) == {"completed", "pruned"}, trials.error.tolist()
    assert trials.ranks.eq(2).all()
    assert trials.restarts.eq(0).all()
    wait_until(lambda: core.available_resources().get("CPU") == core.cluster_resources()["CPU"])
    new = {name: one["state"] for name, one in placement_group_table().items() if name not in groups}
    assert new
    assert set(new.values()) == {"REMOVED"}
    assert not tasks_of("rank 1")
    rows = records.read_rows(tmp_path / "two/trials.parquet", records.TRIAL_SCHEMA)
    epochs = pd.read_parquet(tmp_path / "two/epochs.parquet")
    for row in rows:
        config = records.config_of(row)
        own = epochs[epochs.trial_id == row["trial_id"]]
        assert (own.log_u.notna() == (own.stage == 2)).all()
        first = next(own.itertuples())
        record = next(Trainer(config, load_splits(config)).epochs())
        # In float32 rounding grows from step to step, differently on each processor; test_ranks.py has float64.
        assert first.train_loss == pytest.approx(record.train_loss, rel=1e-2)


def test_trial_whose_rank_is_killed_resumes_from_its_checkpoint(ray: None, tmp_path: Path) -> None:
    space = space_of_two(num_trials=1, epochs=16, early_stopping=None)
    assert restarts_after_a_kill(space, tmp_path, "rank 1") == 1
