"""Trackers: tools that show the trials of a running search. Each has a thread and a bounded queue of its own.

A search hands its records over and goes on: a tracker that fails, or is slower than the search, costs what it would
have shown, and one warning.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from absgd import records
from absgd.counts import plural
from absgd.terminal import warn
from tune_runs.space.model import SearchSpace

QUEUE_LENGTH = 1000
"""Most events that wait for a tracker; an event holds the epochs of one report, or the end of a trial."""
CLOSE_S = 15.0
"""Most seconds that the end of a search waits for all of its trackers together."""
EPOCH_SCALARS = tuple(
    name for name in records.EPOCH_SCHEMA.names if records.EPOCH_SCHEMA.field(name).type == pa.float64()
)
"""Columns of an epoch that are shown as curves, where they have a value."""
TRIAL_SETTINGS = ("scenario", "phase", "candidate", "pair", "split_hash", *records.CONFIG_COLUMNS)
"""Columns of a trial that are shown as its settings, where they have a value."""
_RESULTS = ("metric_last", "metric_chosen", "chosen_epoch", "second_last", "epochs_trained", "restarts", "wall_s")
_TEST_RESULTS = tuple(name for name in records.TRIAL_SCHEMA.names if name.startswith("test_") and "recall" not in name)
Row = Mapping[str, Any]
"""A row of trials.parquet or epochs.parquet."""


class TrackedSearch(NamedTuple):
    """The search that trackers show."""

    folder: Path
    """The run folder; its name is that of the search."""
    id: str
    """Stays the same when the folder is moved or the search resumed."""
    space: SearchSpace


class Tracker(Protocol):
    """Shows trials in some tool. All its methods are called in one thread, may block it, and may raise anything."""

    def begin(self, trial: Row, earlier: Sequence[Row]) -> None:
        """Open the run of a trial: a new one, or the one that an earlier session opened.

        Args:
            trial: its row of trials.parquet.
            earlier: epochs that it trained in earlier sessions, which may or may not have reached the tracker.
        """

    def add(self, trial_id: str, epochs: Sequence[Row]) -> None:
        """Show epochs that a trial trained itself, in order; no epoch comes twice in a session."""

    def end(self, trial: Row) -> None:
        """Close the run of a trial; its row says how it ended."""

    def attach(self, report: Path) -> None:
        """Show the final report of the search."""

    def close(self) -> None:
        """Send what is not sent yet."""


TrackerT = TypeVar("TrackerT")


class TrackerThread(Generic[TrackerT]):
    """Runs a tracker, or a callback of a user, in a thread, which ends at its first error.

    Args:
        title: names the tracker in warnings.
        build: makes the tracker, in the thread.
        close: the last call of the tracker.
        length: most calls that wait.
    """

    def __init__(
        self,
        title: str,
        build: Callable[[], TrackerT],
        close: Callable[[TrackerT], None],
        length: int = QUEUE_LENGTH,
    ) -> None:
        self.title, self._build, self._close = title, build, close
        self._calls: queue.Queue[Callable[[TrackerT], None] | None] = queue.Queue(length)
        self._thread = threading.Thread(target=self._run, name=f"absgd-tune {title}", daemon=True)
        self._num_dropped = 0
        self._has_failed = self._is_closed = False

    def put(self, call: Callable[[TrackerT], None]) -> bool:
        """Queue a call of the tracker, without waiting; return whether it was queued, or need not be tried again."""
        if self._has_failed or self._is_closed:
            return True
        if self._thread.ident is None:
            self._thread.start()
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            if not self._num_dropped:
                warn(f"{self.title} is slower than the search: it will miss some of it; the search goes on")
            self._num_dropped += 1
            return False
        return True

    def drain(self) -> None:
        """Wait until the tracker has done all that was queued."""
        self._calls.join()

    def close(self, deadline: float) -> None:
        """Let the tracker send the rest until `deadline`, a time of `time.monotonic`; what is left then is lost."""
        self._is_closed = True
        if self._thread.ident is None:
            return
        with suppress(queue.Full):
            self._calls.put(None, timeout=max(0.0, deadline - time.monotonic()))
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            waiting = plural(self._calls.qsize(), "event")
            warn(f"{self.title} did not end in time: up to {waiting} may be missing there; the records are whole")
        elif self._num_dropped and not self._has_failed:
            warn(f"{self.title} was too slow for {plural(self._num_dropped, 'event')}; the records are whole")

    def _run(self) -> None:
        tracker: TrackerT | None = None
        while True:
            call = self._calls.get()
            try:
                if not self._has_failed:
                    tracker = tracker or self._build()
                    (call or self._close)(tracker)
            except Exception as error:  # noqa: BLE001 - whatever it is, the results are not affected
                self._has_failed = True
                reason = (str(error).strip() or "no reason given").splitlines()[0]
                warn(f"{self.title} ends here ({type(error).__name__}: {reason}); the search goes on")
            finally:
                self._calls.task_done()
            if call is None:
                return


def settings_of(trial: Row) -> dict[str, Any]:
    """Return the settings of a trial that have a value."""
    return {name: trial[name] for name in TRIAL_SETTINGS if trial[name] is not None}


def scalars_of(epoch: Row) -> dict[str, float]:
    """Return the scalars of an epoch that have a value."""
    return {name: epoch[name] for name in EPOCH_SCALARS if epoch[name] is not None}


def results_of(trial: Row) -> dict[str, float]:
    """Return the numbers with which a trial ended, those of the test set too where it was read."""
    return {name: trial[name] for name in (*_RESULTS, *_TEST_RESULTS) if trial.get(name) is not None}
