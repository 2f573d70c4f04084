"""The callback that records reports before it tells the studies, so that a killed driver repeats neither."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.tune import Callback

from tune_runs.driver.searcher import RunQueueSearcher
from tune_runs.driver.stop_request import StopRequest
from tune_runs.recording.budgets import DISK_BUDGET_USED
from tune_runs.recording.recorder import Recorder
from tune_runs.trial.failures import FailureCounter, cause_of
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trial.trial_reports import TrialReport, end_status, report_of


class RecordingCallback(Callback):  # type: ignore[misc]
    """Keeps records and studies up to date while trials run.

    Args:
        recorder: has the records of trials and epochs.
        searcher: has the plans and the studies.
        failures: knows which errors are worth another start, and when there were too many.
        stop: ends the search; Ray would hide an error raised here behind one of its own.
        on_end: each is called with the id of every trial that has ended, once that is recorded.
    """

    def __init__(
        self,
        recorder: Recorder,
        searcher: RunQueueSearcher,
        failures: FailureCounter,
        stop: StopRequest,
        on_end: Sequence[Callable[[str], None]],
    ) -> None:
        self._recorder, self._searcher, self._failures, self._stop = recorder, searcher, failures, stop
        self._on_end = on_end

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Record an epoch, or that the trial diverged in it."""
        if (report := report_of(result)) is None:
            return
        with self._telling():
            plan = self._plan(trial)
            self._recorder.add(plan.trial_id, report)
            self._report(plan, report)
        if report.is_over_budget:
            self._stop.end_on_budget(DISK_BUDGET_USED)

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        """Record that a trial ended, by itself or stopped by the scheduler."""
        plan, last = self._plan(trial), report_of(trial.last_result)
        with self._telling():
            status = end_status(last, plan.config.epochs)
            self._recorder.finish(plan.trial_id, status, last.divergence if last else None)
            self._end(plan)
        self._failures.passed(plan.scenario)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Record an error; a trial that lost its process continues in another, unless that happened too often."""
        plan, text = self._plan(trial), _error_text(trial)
        cause = cause_of(text)
        with self._telling():
            trained = self._recorder.trials[plan.trial_id].summary.epochs_trained
            if cause.is_lost and self._failures.may_restart(plan.trial_id, trained):
                self._recorder.restart(plan.trial_id)
                self._searcher.requeue(plan)
                return
            self._recorder.fail(plan.trial_id, text, cause.words)
            self._end(plan)
        record = self._recorder.trials[plan.trial_id]
        if reason := self._failures.failed(plan.scenario, record.summary.epochs_trained, record.error or ""):
            self._stop.fail(reason)

    def _end(self, plan: TrialPlan) -> None:
        record = self._recorder.trials[plan.trial_id]
        if plan.phase == "search":
            study = self._searcher.searches[plan.scenario].study
            study.tell(plan.trial_id, record.status, record.summary.last_values)
        for tell in self._on_end:
            tell(plan.trial_id)

    def _report(self, plan: TrialPlan, report: TrialReport) -> None:
        """Report the values of epochs that the trial trained itself to the study."""
        if plan.phase != "search":
            return
        study, metric = self._searcher.searches[plan.scenario].study, self._recorder.metric
        for epoch in report.epochs:
            if not epoch.is_inherited and (value := epoch.value(metric)) is not None:
                study.report(plan.trial_id, epoch.record.epoch, value)

    def _plan(self, trial: Any) -> TrialPlan:
        return self._searcher.plans[trial.trial_id]

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._stop.record_error(error)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file that is never read back."""
        return {}


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _error_text(trial: Any) -> str:
    path = trial.error_file
    if not path or not Path(path).is_file():
        return ""
    return _COLOUR.sub("", Path(path).read_text(encoding="utf-8", errors="replace"))
