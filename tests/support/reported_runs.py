"""Runs of trials in this process, as the reports that they make."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from absgd.training import Trainer
from tune_runs.trial.trainable import ReadTest, reports_by_step
from tune_runs.trial.trial_reports import TrialReport
from tune_runs.trial.trial_run import TrialRun


def reports_of(
    trainer: Trainer, run: TrialRun, read_test: ReadTest | None = None, report_at: Collection[int] | None = None
) -> Iterator[TrialReport]:
    """Train a trial and yield its reports: `reports_by_step` without the steps."""
    return (report for report in reports_by_step(trainer, run, read_test, report_at) if report is not None)
