"""A Trainer as a Ray Tune function trainable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ray import tune

from absgd.config import RunConfig
from absgd.datasets import Splits
from absgd.training import Diverged, Trainer
from tune_runs.plan import TrunkUse, trunk_use
from tune_runs.reports import DIVERGED, EARLIER, NOTES
from tune_runs.trunk import TrunkRun


def train_trial(trial: dict[str, Any], splits: dict[str, Splits]) -> None:
    """Train one trial, reporting the record of each epoch; a diverged trial reports why, then ends.

    Args:
        trial: from `trial_config`.
        splits: the images of every scenario, one read-only copy on each node.
    """
    trainer = Trainer(RunConfig.from_dict(trial["run_config"]), splits[trial["scenario"]])
    for report in reports(trainer, trunk_use(trial)):
        tune.report(report)


def reports(trainer: Trainer, use: TrunkUse | None) -> Iterator[dict[str, Any]]:
    """What a trial has to report, with the keys of `tune_runs.reports`, training on as it is asked for.

    On a trunk it trains from a snapshot on, and the first report holds the records before it. A trunk's control leaves
    its snapshots before it reports the epoch, so whoever has the report may fork.

    Args:
        trainer: new.
        use: what it does with a trunk; None: it trains from scratch and leaves nothing.
    """
    run = TrunkRun(trainer, use) if use else None
    earlier, notes = run.begin() if run else ([], [])
    said: dict[str, Any] = {EARLIER: earlier, NOTES: notes}
    if earlier and trainer.next_epoch == trainer.config.epochs:
        yield {**earlier[-1], EARLIER: earlier[:-1], NOTES: notes}
    try:
        for record in trainer.epochs():
            row = dataclasses.asdict(record)
            said[NOTES] = [*said[NOTES], *(run.leave(row) if run else [])]
            yield {**row, **said}
            said = {EARLIER: [], NOTES: []}
    except Diverged as error:
        yield {**said, "epoch": error.epoch, DIVERGED: str(error)}
