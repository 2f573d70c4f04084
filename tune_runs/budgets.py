"""When a search has used what it may use; the disk's share is held where files are written (`tune_runs.disk`)."""

from __future__ import annotations

import time
from collections.abc import Callable

from tune_runs.recorder import Recorder
from tune_runs.space import SearchSpace

TIME_BUDGET_USED = "the time budget was used up"
EPOCH_BUDGET_USED = "the epoch budget was used up"


class Budgets:
    """Wall time of a session, and epochs of the whole search.

    Args:
        space: has `time_budget` and `epoch_budget`.
        recorder: knows the epochs trained.
        clock: seconds that never go back, whatever is done to the time of day.
    """

    def __init__(self, space: SearchSpace, recorder: Recorder, clock: Callable[[], float] = time.monotonic) -> None:
        self._space, self._recorder, self._clock = space, recorder, clock
        self._started = clock()

    def used(self) -> str | None:
        """Which budget is used up, in words; None while there is something left of each."""
        space = self._space
        if space.time_budget is not None and self._clock() - self._started >= space.time_budget:
            return TIME_BUDGET_USED
        if space.epoch_budget is not None and self._recorder.epochs_trained >= space.epoch_budget:
            return EPOCH_BUDGET_USED
        return None
