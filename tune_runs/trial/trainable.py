"""A Trainer as a Ray Tune function trainable."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from ray import tune
from ray.actor import ActorHandle

from absgd.config import RunConfig
from absgd.datasets import BatchesOf, Splits, build_batches
from absgd.training import Diverged, Trainer
from absgd.training.ranks.interface import ALONE, Ranks
from tune_runs.ray_cluster.image_store import fetch_images
from tune_runs.trial.on_test_set import measure_on_test_set
from tune_runs.trial.plan import checkpoint_use, tested_metric, trunk_use
from tune_runs.trial.rank_tasks import trial_ranks
from tune_runs.trial.reports import DIVERGED, EARLIER, INHERITED, NOTES, OVER_BUDGET, TEST
from tune_runs.trial.trial_run import TrialRun

ReadTest = Callable[[Trainer, TrialRun], dict[str, Any]]
"""Measures on the test set, after the last epoch of a run."""


def train_trial(trial: dict[str, Any], image_store: ActorHandle) -> None:
    """Train one trial, reporting the record of each epoch; a diverged trial reports why, then ends.

    Args:
        trial: from `trial_config`.
        image_store: has the images of every scenario and data seed, one read-only copy on each node that asks for them.
    """
    config = RunConfig.from_dict(trial["run_config"])
    with trial_ranks(trial, config, image_store) as ranks:
        for report in trial_steps(trial, fetch_images(image_store, trial["images"]), ranks):
            if report is not None:
                tune.report(report)


def trial_steps(
    trial: dict[str, Any], splits: Splits, ranks: Ranks = ALONE, batches_of: BatchesOf = build_batches
) -> Iterator[dict[str, Any] | None]:
    """A trial, in parts: None after each training step, and what it has to report.

    Args:
        trial: from `trial_config`.
        splits: its images.
        ranks: the processes that train it together.
        batches_of: makes its batches.
    """
    trainer = Trainer(RunConfig.from_dict(trial["run_config"]), splits, ranks=ranks, batches_of=batches_of)
    run = TrialRun(trainer, trunk_use(trial), checkpoint_use(trial), trial["origin"], tested_metric(trial))
    yield from reports_by_step(trainer, run, measure_on_test_set if trial["reads_test"] else None)


def reports(trainer: Trainer, run: TrialRun, read_test: ReadTest | None = None) -> Iterator[dict[str, Any]]:
    """What a trial has to report: `reports_by_step` without the steps."""
    return (report for report in reports_by_step(trainer, run, read_test) if report is not None)


def reports_by_step(
    trainer: Trainer, run: TrialRun, read_test: ReadTest | None = None
) -> Iterator[dict[str, Any] | None]:
    """What a trial has to report, with the keys of `tune_runs.trial.reports`, training on as it is asked for.

    None after each training step, so that other trials can have a turn.

    The first report holds the records of the epochs behind it. A trial that goes on from a snapshot of its own first
    reports the last epoch again, before it trains another: the driver may have died before it could stop the trial
    there, or record its end. A trunk's control leaves its snapshots before it reports the epoch, so whoever has the
    report may fork.

    Args:
        trainer: new.
        run: of this trainer.
        read_test: of a confirmation, called once, after its last epoch; its columns stand in that epoch's report.
    """

    def tested() -> dict[str, Any]:
        is_last = trainer.next_epoch == trainer.config.epochs
        return {TEST: read_test(trainer, run)} if read_test and is_last else {}

    earlier, notes = run.begin()
    said: dict[str, Any] = {EARLIER: earlier, NOTES: notes}
    if earlier and (not earlier[-1][INHERITED] or trainer.next_epoch == trainer.config.epochs):
        yield {**earlier[-1], EARLIER: earlier[:-1], NOTES: notes, **tested()}
        said = {EARLIER: [], NOTES: []}
    try:
        for record in trainer.steps():
            if record is None:
                yield None
                continue
            row = dataclasses.asdict(record)
            left = run.leave(row)
            yield {**row, **said, NOTES: [*said[NOTES], *left.notes], OVER_BUDGET: left.is_over_budget, **tested()}
            said = {EARLIER: [], NOTES: []}
    except Diverged as error:
        yield {**said, "epoch": error.epoch, DIVERGED: str(error)}
