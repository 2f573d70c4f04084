"""A request to end a search early: a signal, a budget, too many equal errors, or a disk that is full."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Stopper

from absgd.terminal import handling


class StopRequest(Stopper):  # type: ignore[misc]
    """Tells Tune to stop all trials once there is a reason; Tune asks between two of its steps.

    Args:
        budget_used: gives the budget that is used up, in words; None: no budget is.
    """

    def __init__(self, budget_used: Callable[[], str | None] = lambda: None) -> None:
        self._budget_used = budget_used
        self.is_interrupted = False
        """Whether a signal asked to stop."""
        self.used_budget: str | None = None
        """The budget that was used up; the search then ends without an error."""
        self.failure: str | None = None
        """Why further trials are not worth trying."""
        self.error: OSError | None = None
        """The error with which the records could not be written."""

    def __call__(self, _trial_id: str, _result: dict[str, Any]) -> bool:
        """Return False: trials are stopped all together only."""
        return False

    def stop_all(self) -> bool:
        """Whether the search is to end."""
        if self.used_budget is None:
            self.used_budget = self._budget_used()
        return self.is_interrupted or any((self.used_budget, self.failure, self.error))

    def end_on_budget(self, budget: str) -> None:
        """Stop because a budget is used up."""
        self.used_budget = self.used_budget or budget

    def fail(self, reason: str) -> None:
        """Stop because every further trial would fail."""
        self.failure = reason

    def record_error(self, error: OSError) -> None:
        """Stop because the records cannot be written."""
        self.error = error

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Ask to stop on the first signal; raise KeyboardInterrupt on the second.

        A terminal that closes may send SIGHUP twice, by its kernel and by its shell: that is no second signal.
        """
        if self.is_interrupted and number != signal.SIGHUP:
            raise KeyboardInterrupt
        self.is_interrupted = True

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its stopper into a file that is never read back."""
        return {}


@contextmanager
def signals_to(stop: StopRequest) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP ask to stop inside the block."""
    with handling(stop.on_signal):
        yield
