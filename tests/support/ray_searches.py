"""Small searches on a real Ray, and their trials trained alone for comparison."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from absgd import records
from absgd.datasets import load_splits
from absgd.training import Trainer
from tests.support.fake_tuner import make_space
from tests.support.small_runs import values
from tune_runs.request.search_request import new_request
from tune_runs.run_search import run_search
from tune_runs.space.model import SearchSpace

ONE_AT_A_TIME: dict[str, Any] = {"cpu": 1.5, "gpu": 0}
"""Resources with which one trial at a time trains on two cores: half the processes, each of which imports torch."""
SEVERAL_AT_ONCE: dict[str, Any] = {"cpu": 1, "gpu": 0}
"""Resources with which two trials train at once there, for tests of kills and signals."""
SMALL: dict[str, Any] = {
    "name": "small",
    "base": {
        "data": {"name": "digits", "val_per_class": 5, "n_max": 20},
        "model": {"name": "resnet8"},
        "epochs": 4,
        "batch_size": 32,
    },
    "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}}, {"imbalance": {"type": "step", "ratio": 0.1}}],
    "search": {
        "lam": {"low": 0.5, "high": 50, "log": True},
        "gamma": {"low": 0.1, "high": 1.0},
        "ab_alpha": {"low": 0.1, "high": 1.0},
        "switch_epoch": {"low": 1, "high": 2},
    },
    "num_trials": 2,
    "early_stopping": None,
    "seeds": {"pairs": 1},
    "resources": ONE_AT_A_TIME,  # bits are compared, so on CPU
}


def small(**changes: Any) -> SearchSpace:
    """Return SMALL with keys replaced."""
    return make_space(**{**SMALL, **changes})


def search(space: SearchSpace, folder: Path) -> tuple[bool, str]:
    """Run a new search in a folder; return whether each scenario has a best trial, and what was printed."""
    console = Console(file=io.StringIO(), width=100)
    status = run_search(new_request(space, folder), console)
    assert isinstance(console.file, io.StringIO)
    return status != "nothing completed", console.file.getvalue()


def printed_by_search(space: SearchSpace, folder: Path) -> str:
    """Run a new search in a folder, with or without a best trial; return its output."""
    return search(space, folder)[1]


FORKS: dict[str, Any] = {
    **SMALL,
    "base": {
        **SMALL["base"],
        "epochs": 6,
        "model": {"name": "resnet8", "dropout": 0.3},
        "augmentation": {"pad": 1, "flip": True, "rotation_deg": 10},
        "optimizer": {"lr": 0.05, "momentum": 0.9},
        "schedule": {"type": "step", "warmup_epochs": 1, "milestones": [4]},
    },
    "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}, "noise": {"type": "symmetric", "rate": 0.2}}],
    "search": {
        **SMALL["search"],
        "switch_epoch": {"low": 2, "high": 4},
        "loss.name": {"choices": ["abce", "abtce"]},
    },
    "num_trials": 8,
}


def forks(**changes: Any) -> SearchSpace:
    """Return FORKS with keys replaced."""
    return make_space(**{**FORKS, **changes})


def rows_of(folder: Path, trial_id: str) -> list[dict[str, Any]]:
    """Return the recorded epochs of a trial."""
    rows = records.read_rows(folder / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
    return [row for row in rows if row["trial_id"] == trial_id]


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return recorded epochs without times and names, as a trainer alone reports them."""
    keys = ("run", "scenario", "trial_id", "inherited")
    lists = ("val_recall", "mean_weight")
    return values(
        {key: tuple(value) if key in lists else value for key, value in row.items() if key not in keys} for row in rows
    )


def trained_alone(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Train the config of a row of `trials.parquet` from scratch in this process; return its epochs."""
    config = records.config_of(row)
    return values(Trainer(config, load_splits(config)).epochs())
