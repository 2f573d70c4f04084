"""The time and epoch budgets of a search; `tune_runs.trial.disk_budget` keeps that of the disk."""

from __future__ import annotations

import time

from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace

TIME_BUDGET_USED = "the time budget was used up"
EPOCH_BUDGET_USED = "the epoch budget was used up"
DISK_BUDGET_USED = "the disk budget was used up"
RAISED_BY = {TIME_BUDGET_USED: "", EPOCH_BUDGET_USED: "--epoch-budget MORE", DISK_BUDGET_USED: "--disk-budget MORE"}
"""Used-up budget -> options that a resume needs in addition; each session has its own time."""


class Budgets:
    """The wall time of a session and the epochs of the whole search.

    Args:
        space: gives `time_budget` and `epoch_budget`.
        recorder: counts the epochs trained.
    """

    def __init__(self, space: SearchSpace, recorder: Recorder) -> None:
        self._space, self._recorder = space, recorder
        self._started = time.monotonic()  # never goes back, even if the time of day is changed

    def used(self) -> str | None:
        """Return the budget that is used up, in words; None while something is left of each."""
        space = self._space
        if space.time_budget is not None and time.monotonic() - self._started >= space.time_budget:
            return TIME_BUDGET_USED
        if space.epoch_budget is not None and self._recorder.epochs_trained >= space.epoch_budget:
            return EPOCH_BUDGET_USED
        return None
