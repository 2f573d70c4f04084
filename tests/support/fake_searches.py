"""Searches on curves: small spaces of the fake tuner, and the contents of their run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from absgd.config import RunConfig
from tests.support.fake_tuner import SPACE, make_space, rising
from tune_runs.space.model import SearchSpace

EXP, STEP = "digits-exp-0.1", "digits-step-0.1"
"""The scenarios of the fake space."""
CLOCKS = ["started_at", "wall_s", "run"]
EPOCH_CLOCKS = ["run", "train_s", "val_s", "images_per_s"]
STOPPING = {"rule": "age_then_epoch", "grace_period": 1, "reduction_factor": 2}


def space_of(**changes: Any) -> SearchSpace:
    asked = {"scenarios": SPACE["scenarios"][:1], "num_trials": 6, "early_stopping": STOPPING, "seed": 10}
    return make_space(**{**asked, **changes})


def some_diverge(config: RunConfig, epoch: int) -> float | None:
    gamma = config.attention.gamma if config.attention else 0.0
    return None if gamma > 0.7 and epoch == 5 else rising(config, epoch)


def outcome(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[Any]]:
    """Return all records of a search except times."""
    table = trials(folder).drop(columns=CLOCKS)
    rows = epochs(folder).drop(columns=EPOCH_CLOCKS).sort_values(["trial_id", "epoch"]).reset_index(drop=True)
    return table, rows, study_values(folder)


def study_values(folder: Path) -> list[Any]:
    """Return number, state, parameters and values of each trial of the study."""
    keys = ("number", "state", "params", "values", "intermediate_values")
    return [[getattr(trial, key) for key in keys] for trial in study_trials(folder, EXP)]


def assert_same(one: Path, other: Path) -> None:
    (trials_1, epochs_1, study_1), (trials_2, epochs_2, study_2) = outcome(one), outcome(other)
    pd.testing.assert_frame_equal(trials_1, trials_2, check_exact=True)
    pd.testing.assert_frame_equal(epochs_1, epochs_2, check_exact=True)
    assert study_1 == study_2


def study_trials(folder: Path, scenario: str) -> list[FrozenTrial]:
    """Return the trials in a scenario's journal, read with Optuna alone."""
    storage = JournalStorage(JournalFileBackend(str(folder / "scenarios" / scenario / "study.journal")))
    return optuna.load_study(study_name=scenario, storage=storage).trials


def trials(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "trials.parquet")


def epochs(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "epochs.parquet")
