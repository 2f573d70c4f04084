"""A bound on the wait for the first trial that starts, where workers of Ray cannot start or a cluster has no room."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune import Callback

from tune_runs.driver.stop_request import StopRequest

SAY_AFTER_S = 60.0
"""Time without a running trial after which the wait is mentioned."""
GIVE_UP_S = 600.0
"""Time without a running trial after which a search on this machine ends."""
_MOST_STEP_S = 10.0
"""Longest step that counts whole: the driver may have been stopped (Ctrl-Z)."""


class StartWatch(Callback):  # type: ignore[misc]
    """Mentions that trials wait while none runs, and ends a search on this machine, where nothing else needs its CPUs.

    A cluster may be full of other people's work for hours, so a search there goes on waiting.

    Args:
        stop: ends the search.
        is_local: whether Ray was started for this search.
        say: shows a sentence.
        raylet_error: returns what the raylet wrote about its workers, for the end of a sentence.
        clock: returns seconds.
    """

    def __init__(
        self,
        stop: StopRequest,
        is_local: bool,
        say: Callable[[str], None],
        raylet_error: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop, self._is_local, self._say, self._raylet_error = stop, is_local, say, raylet_error
        self._clock = clock
        self._waited_s, self._seen_at, self._has_said = 0.0, clock(), False

    def on_step_end(self, *, trials: Sequence[Any], **_: Any) -> None:
        """Count the time in which trials are pending and none runs."""
        now = self._clock()
        step_s, self._seen_at = min(now - self._seen_at, _MOST_STEP_S), now
        states = {trial.status for trial in trials}
        if "RUNNING" in states or "PENDING" not in states:
            self._waited_s, self._has_said = 0.0, False
            return
        self._waited_s += step_s
        if self._waited_s >= SAY_AFTER_S and not self._has_said:
            self._has_said = True
            where = "Ray starts a worker" if self._is_local else "a node of the cluster has room for a trial"
            self._say(f"note: no trial runs for {SAY_AFTER_S:g} s; waiting until {where}")
        if self._waited_s >= GIVE_UP_S and self._is_local:
            self._stop.fail(f"Ray started no worker for {GIVE_UP_S:g} s{self._raylet_error()}")

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file that is never read back."""
        return {}
