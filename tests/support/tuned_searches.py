"""Searches with tuned controls on curves: a small space, what each configuration scores, and the search itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from absgd.config import RunConfig
from tests.support.fake_tuner import SPACE, FakeTuner, make_space
from tune_runs.space.model import SearchSpace

METHODS = ["ce", "cb-ce-drw", "ce-posthoc", "focal"]


def space_of(**changes: Any) -> SearchSpace:
    asked = {
        "scenarios": SPACE["scenarios"][:1],
        "search": {"optimizer.weight_decay": {"choices": [2.0e-4, 1.0e-3]}, **SPACE["search"]},
        "num_trials": 8,
        "seed": 3,
        "controls": {"tuned": True, "methods": METHODS},
        "confirm": {"max_pairs": 4, "controls": ["ce", "focal"]},
    }
    return make_space(**{**asked, **changes})


def quality(config: RunConfig) -> float:
    """Return a score without noise: focal loss with gamma 2 and weight decay 1e-3 is best of all."""
    value = 0.5 + (0.02 if config.optimizer.weight_decay == 1.0e-3 else 0.0)
    value += 0.1 * config.loss.focal_gamma if config.loss.name == "focal" else 0.0
    value += 0.05 if config.attention else 0.0
    value += 0.01 * config.loss.posthoc_tau
    value += 0.1 * (1 - config.class_balance.beta) if config.class_balance.type != "none" else 0.0
    return value


def with_noise(config: RunConfig) -> float:
    return quality(config) + random.Random(f"{config.digest()}").gauss(0, 0.002)


def curve(config: RunConfig, epoch: int) -> float:
    return quality(config) * (epoch + 1) / config.epochs


def run(folder: Path, **changes: Any) -> FakeTuner:
    tuner = FakeTuner(space_of(**changes), folder, curve, test_score=with_noise)
    tuner.run()
    return tuner
