"""A Trainer as a Ray Tune function trainable."""

from __future__ import annotations

import dataclasses
from typing import Any

from ray import tune

from absgd.config import RunConfig
from absgd.datasets import Splits
from absgd.training import Diverged, Trainer
from tune_runs.recorder import DIVERGED


def train_trial(trial: dict[str, Any], splits: dict[str, Splits]) -> None:
    """Train one trial, reporting the record of each epoch; a diverged trial reports why, then ends.

    Args:
        trial: `scenario`, a key of `splits`, and `run_config`, a whole RunConfig as plain data.
        splits: the images of every scenario, one read-only copy on each node.
    """
    trainer = Trainer(RunConfig.from_dict(trial["run_config"]), splits[trial["scenario"]])
    try:
        for record in trainer.epochs():
            tune.report(dataclasses.asdict(record))
    except Diverged as error:
        tune.report({"epoch": error.epoch, DIVERGED: str(error)})
