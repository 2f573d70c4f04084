"""The reports of a trial's process to the driver, and how they travel through Ray; no torch, no Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from absgd.records import TEST_CHOSEN, TEST_SCALARS, EpochRecord, Status, TestMetrics

_REPORT = "report"
"""Key of a report among the results of Ray Tune."""


@dataclass(frozen=True)
class ReportedEpoch:
    """An epoch that a trial reports."""

    record: EpochRecord
    is_inherited: bool = False
    """Whether another run trained it."""

    def value(self, metric: str) -> float | None:
        """The value of a validation metric; None where the epoch has none."""
        found: float | None = getattr(self.record, metric)
        return found


@dataclass(frozen=True)
class FinalMetrics:
    """Metrics on the test set of a run that was trained to its last epoch."""

    last: TestMetrics
    """Metrics after the last epoch."""
    chosen: TestMetrics | None = None
    """Metrics after the epoch with the best validation metric; None where its model was not kept."""
    notes: tuple[str, ...] = ()
    """A sentence if the predictions could not be written."""
    is_over_budget: bool = False
    """Whether the disk budget left no room for the predictions."""

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the trial's row."""
        columns = dataclasses.asdict(self.last)
        if self.chosen:
            columns |= {TEST_CHOSEN + name.removeprefix("test_"): getattr(self.chosen, name) for name in TEST_SCALARS}
        return columns


@dataclass(frozen=True)
class TrialReport:
    """One report of a trial: an epoch, with short ones before it, or the news that the trial diverged."""

    epoch: ReportedEpoch | None = None
    """The epoch that ended; None where the trial diverged in it."""
    divergence: str | None = None
    """Why the loss was no longer finite; None unless the trial diverged."""
    earlier: tuple[ReportedEpoch, ...] = ()
    """Epochs before it, restored from a snapshot; in a trial's first report only."""
    between: tuple[ReportedEpoch, ...] = ()
    """Epochs before it that the trial has trained since its last report."""
    notes: tuple[str, ...] = ()
    """Sentences for the user."""
    is_over_budget: bool = False
    """Whether the disk budget left no room for a snapshot of the epoch, or for the predictions."""
    test: FinalMetrics | None = None
    """Metrics on the test set; in the last report of a confirmation only."""

    @property
    def epochs(self) -> tuple[ReportedEpoch, ...]:
        """All epochs of the report, in order."""
        return (*self.earlier, *self.trained)

    @property
    def trained(self) -> tuple[ReportedEpoch, ...]:
        """The epochs since the last report, in order; also one that a trial which resumes reports again."""
        return (*self.between, self.epoch) if self.epoch else self.between

    def with_test(self, test: FinalMetrics | None) -> TrialReport:
        """Return the report with the results of a test; unchanged where there was none."""
        if test is None:
            return self
        notes, is_over_budget = (*self.notes, *test.notes), self.is_over_budget or test.is_over_budget
        return dataclasses.replace(self, test=test, notes=notes, is_over_budget=is_over_budget)

    def to_result(self) -> dict[str, Any]:
        """Return the result that `tune.report` takes."""
        return {_REPORT: self}


def report_of(result: Mapping[str, Any] | None) -> TrialReport | None:
    """Return the report in a result of Ray Tune; None where the trial has reported nothing."""
    return result.get(_REPORT) if result else None


def end_status(last_report: TrialReport | None, epochs: int) -> Status:
    """Return the status of a trial that ended without an error; a trial stopped before its last epoch was pruned.

    >>> end_status(TrialReport(divergence="the loss is nan"), epochs=16), end_status(None, epochs=16)
    ('diverged', 'pruned')
    """
    if last_report and last_report.divergence:
        return "diverged"
    is_last = last_report and last_report.epoch and last_report.epoch.record.epoch == epochs - 1
    return "completed" if is_last else "pruned"
