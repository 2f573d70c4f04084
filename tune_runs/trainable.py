"""A Trainer as a Ray Tune function trainable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ray import tune

from absgd.config import RunConfig
from absgd.datasets import Splits
from absgd.training import Diverged, Trainer
from tune_runs.plan import checkpoint_use, trunk_use
from tune_runs.reports import DIVERGED, EARLIER, INHERITED, NOTES, OVER_BUDGET
from tune_runs.trial_run import TrialRun


def train_trial(trial: dict[str, Any], splits: dict[str, Splits]) -> None:
    """Train one trial, reporting the record of each epoch; a diverged trial reports why, then ends.

    Args:
        trial: from `trial_config`.
        splits: the images of every scenario, one read-only copy on each node.
    """
    trainer = Trainer(RunConfig.from_dict(trial["run_config"]), splits[trial["scenario"]])
    run = TrialRun(trainer, trunk_use(trial), checkpoint_use(trial), trial["origin"])
    for report in reports(trainer, run):
        tune.report(report)


def reports(trainer: Trainer, run: TrialRun) -> Iterator[dict[str, Any]]:
    """What a trial has to report, with the keys of `tune_runs.reports`, training on as it is asked for.

    The first report holds the records of the epochs behind it. A trial that goes on from a snapshot of its own first
    reports the last epoch again, before it trains another: the driver may have died before it could stop the trial
    there, or record its end. A trunk's control leaves its snapshots before it reports the epoch, so whoever has the
    report may fork.

    Args:
        trainer: new.
        run: of this trainer.
    """
    earlier, notes = run.begin()
    said: dict[str, Any] = {EARLIER: earlier, NOTES: notes}
    if earlier and (not earlier[-1][INHERITED] or trainer.next_epoch == trainer.config.epochs):
        yield {**earlier[-1], EARLIER: earlier[:-1], NOTES: notes}
        said = {EARLIER: [], NOTES: []}
    try:
        for record in trainer.epochs():
            row = dataclasses.asdict(record)
            left = run.leave(row)
            yield {**row, **said, NOTES: [*said[NOTES], *left.notes], OVER_BUDGET: left.is_over_budget}
            said = {EARLIER: [], NOTES: []}
    except Diverged as error:
        yield {**said, "epoch": error.epoch, DIVERGED: str(error)}
