"""A Trainer as a Ray Tune function trainable."""

from __future__ import annotations

import dataclasses
from typing import Any

from ray import tune

from absgd.config import RunConfig
from absgd.datasets import Splits
from absgd.training import Diverged, Trainer
from tune_runs.plan import TrunkUse
from tune_runs.recorder import DIVERGED, NOTES
from tune_runs.trunk import Begun, begin, leave


def train_trial(trial: dict[str, Any], splits: dict[str, Splits]) -> None:
    """Train one trial, reporting the record of each epoch; a diverged trial reports why, then ends.

    A fork trains from its snapshot on, and the records before it are the trunk's. A trunk leaves its snapshots before
    it reports the epoch, so whoever has the report may fork.

    Args:
        trial: from `trial_config`.
        splits: the images of every scenario, one read-only copy on each node.
    """
    trainer = Trainer(RunConfig.from_dict(trial["run_config"]), splits[trial["scenario"]])
    use = TrunkUse(**trial["trunk"]) if trial["trunk"] else None
    rows, notes = begin(trainer, use) if use else Begun([], [])
    is_full = False
    try:
        for record in trainer.epochs():
            row = dataclasses.asdict(record)
            if use and use.save_at:
                rows.append({**row, "origin": use.origin})
                problem = leave(trainer, use, rows)
                notes += [problem] if problem and not is_full else []  # one of a kind is enough
                is_full = is_full or problem is not None
            tune.report({**row, NOTES: notes})
            notes = []
    except Diverged as error:
        tune.report({"epoch": error.epoch, DIVERGED: str(error), NOTES: notes})
