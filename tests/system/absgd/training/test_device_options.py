"""The distance of a fast run from the exact one."""

from __future__ import annotations

import statistics
from typing import Any

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.training import Trainer

TOLERANCE = 0.02
"""Tolerance of balanced validation accuracy, mean over three seeds, as docs/speed.md states it."""


def config(**values: Any) -> RunConfig:
    base = {
        "data": {"name": "digits", "val_per_class": 30},
        "imbalance": {"type": "exp", "ratio": 0.1},
        "model": {"name": "resnet8"},
        "loss": {"name": "abce"},
        "attention": {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 6},
        "optimizer": {"lr": 0.1},
        "schedule": {"type": "cosine", "warmup_epochs": 1},
        "epochs": 10,
        "batch_size": 32,
    }
    return RunConfig.from_dict(base).with_values(values)


def accuracy(seed: int, **device: Any) -> float:
    run = config(**{"seeds.train": seed, "device": {"type": "cpu", **device}})
    *_, last = Trainer(run, load_splits(run)).epochs()
    return last.val_balanced_accuracy


def test_fast_run_stays_within_the_tolerance_of_the_exact_one() -> None:
    exact = [accuracy(seed) for seed in range(3)]
    fast = [accuracy(seed, fast=True, precision="bfloat16") for seed in range(3)]
    assert min(exact) > 0.8, "too little learnt to compare"
    assert abs(statistics.mean(fast) - statistics.mean(exact)) <= TOLERANCE, (exact, fast)
    assert fast != exact, "the options changed nothing"
