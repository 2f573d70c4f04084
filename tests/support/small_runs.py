"""A small training run on digits, variations of it, and its records without times."""

from __future__ import annotations

import dataclasses
from typing import Any

from absgd.config import RunConfig
from absgd.records import EpochRecord

CLOCKS = ("train_s", "val_s", "images_per_s")
BASE: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 30},
    "imbalance": {"type": "exp", "ratio": 0.1},
    "augmentation": {"pad": 1, "flip": True},
    "model": {"name": "resnet8", "dropout": 0.2},
    "loss": {"name": "abce"},
    "attention": {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 2},
    "class_balance": {"type": "reweight", "from_epoch": "switch"},
    "schedule": {"type": "cosine", "warmup_epochs": 1},
    "epochs": 4,
    "batch_size": 32,
    "device": {"type": "cpu", "threads": 1},
}


def make(**values: Any) -> RunConfig:
    """Return the run with values replaced."""
    return RunConfig.from_dict(BASE).with_values(values)


def numbers(record: EpochRecord) -> dict[str, Any]:
    """Return a record without its times."""
    return {name: value for name, value in dataclasses.asdict(record).items() if name not in CLOCKS}


def values(records: Any) -> list[dict[str, Any]]:
    """Return records, or rows of epochs.parquet, without times and without the column that only rows have."""
    rows = [record if isinstance(record, dict) else dataclasses.asdict(record) for record in records]
    return [{key: value for key, value in row.items() if key not in (*CLOCKS, "inherited")} for row in rows]


def config_with(**values: Any) -> RunConfig:
    """Return the run over three epochs, with values replaced, that several ranks train to the same numbers."""
    small = {"epochs": 3, "attention.switch_epoch": 1, "optimizer.lr": 0.02, **values}
    return RunConfig.from_dict(BASE).with_values(small)
