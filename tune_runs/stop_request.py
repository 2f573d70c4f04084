"""A request to end a search early: Ctrl-C, SIGTERM, or a disk that can no longer be written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper


class StopRequest(Stopper):  # type: ignore[misc]
    """Tells Tune to stop all trials, between two of its steps, once a signal or a disk error has come."""

    def __init__(self) -> None:
        self.is_set = False
        self.error: OSError | None = None
        """The disk error, if that was the reason."""

    def __call__(self, _trial_id: str, _result: dict[str, Any]) -> bool:
        """No trial is stopped for itself."""
        return False

    def stop_all(self) -> bool:
        """Whether the search is to end."""
        return self.is_set

    def set_error(self, error: OSError) -> None:
        """Stop because the records cannot be written."""
        self.is_set, self.error = True, error

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """The first signal asks to stop; a second one does not wait."""
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its stopper into a file that is never read back."""
        return {}


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """A request that SIGINT and SIGTERM make inside the block."""
    stop = StopRequest()
    earlier = {number: signal.signal(number, stop.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
