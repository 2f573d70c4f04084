"""A Trainer as a Ray Tune function trainable."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ray import tune
from ray.actor import ActorHandle

from absgd.datasets import BatchesOf, Splits, build_batches
from absgd.output_streams import prepare_process
from absgd.training import Diverged, Trainer
from absgd.training.ranks.alone import ALONE, Ranks
from tune_runs.file_store.driver_folder import store_here
from tune_runs.trial.on_test_set import measure_on_test_set
from tune_runs.trial.rank_tasks import trial_ranks
from tune_runs.trial.trial_plan import TrialTask, task_of
from tune_runs.trial.trial_reports import FinalMetrics, ReportedEpoch, TrialReport
from tune_runs.trial.trial_run import TrialRun

ReadTest = Callable[[Trainer, TrialRun], FinalMetrics]
"""Measures a run on the test set after its last epoch."""
TOGETHER_S = 0.5
"""Time within which epochs are reported together; a longer epoch is reported by itself."""


def train_trial(ray_config: dict[str, Any], image_store: ActorHandle) -> None:
    """Train one trial and report its epochs; a trial that diverges reports why, then ends.

    Args:
        ray_config: configuration of the Ray trial, from `TrialTask.to_ray_config`.
        image_store: has the images of every scenario and data seed, one read-only copy on each node that fetches them.
    """
    prepare_process()
    task = task_of(ray_config)
    with trial_ranks(task, image_store) as (ranks, splits):
        for report in trial_steps(task, splits, ranks):
            if report is not None:
                tune.report(report.to_result())


def trial_steps(
    task: TrialTask, splits: Splits, ranks: Ranks = ALONE, batches_of: BatchesOf = build_batches
) -> Iterator[TrialReport | None]:
    """Train a trial step by step; yield None after each training step, and each report.

    Args:
        task: the trial.
        splits: its images.
        ranks: the processes that train it together.
        batches_of: makes its batches.
    """
    trainer = Trainer(task.config, splits, ranks=ranks, batches_of=batches_of)
    store = store_here(task.store)
    run = TrialRun(trainer, task.trunk, task.checkpoints, task.origin, task.tested_metric, store)
    read_test = partial(measure_on_test_set, file=task.predictions) if task.reads_test else None
    yield from reports_by_step(trainer, run, read_test, task.report_at)


def reports_by_step(
    trainer: Trainer, run: TrialRun, read_test: ReadTest | None = None, report_at: Collection[int] | None = None
) -> Iterator[TrialReport | None]:
    """Train a trial as its reports are asked for; yield None after each training step, to let others have a turn.

    The first report contains the epochs before the trial's start. A trial that resumes from a snapshot of its own first
    reports the last epoch again, before it trains another: the driver may have died before it could stop the trial
    there, or record its end. A trunk's control writes its snapshots before it reports the epoch, so trials may fork as
    soon as the driver has the report.

    Args:
        trainer: a new one.
        run: the run of this trainer.
        read_test: in a confirmation, called once, after the last epoch; that epoch's report has the result.
        report_at: epochs done after which a report must not wait; None: it never waits. Other epochs wait for it, or
            until TOGETHER_S have passed since the last report.
    """

    def test_after_last_epoch() -> FinalMetrics | None:
        is_last = trainer.next_epoch == trainer.config.epochs
        return read_test(trainer, run) if read_test and is_last else None

    def may_wait(report: TrialReport) -> bool:
        has_news = report.notes or report.is_over_budget or trainer.next_epoch == trainer.config.epochs
        is_due = report_at is None or trainer.next_epoch in report_at
        return not has_news and not is_due and time.monotonic() - reported_at < TOGETHER_S

    earlier, notes = run.begin()
    first = TrialReport(earlier=earlier, notes=notes)
    if earlier and (not earlier[-1].is_inherited or trainer.next_epoch == trainer.config.epochs):
        again = replace(first, epoch=earlier[-1], earlier=earlier[:-1])
        yield again.with_test(test_after_last_epoch())
        first = TrialReport()
    reported_at = time.monotonic()
    try:
        for record in trainer.steps():
            if record is None:
                yield None
                continue
            saved = run.save(record)
            trained = replace(
                first,
                epoch=ReportedEpoch(record),
                notes=(*first.notes, *saved.notes),
                is_over_budget=saved.is_over_budget,
            )
            if may_wait(trained):
                first = replace(first, between=trained.trained)
                yield None
                continue
            yield trained.with_test(test_after_last_epoch())
            first, reported_at = TrialReport(), time.monotonic()
    except Diverged as error:
        yield replace(first, divergence=str(error))
    except Exception:
        if first.between:
            *before, last = first.between
            yield replace(first, epoch=last, between=tuple(before))
        raise
