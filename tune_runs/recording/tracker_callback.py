"""The callback through which Ray's events reach the trackers of a search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ray.tune import Callback

from absgd import records
from tune_runs.recording.onlooker import UserOnlooker
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.tracker_table import tracker_thread
from tune_runs.recording.trackers import CLOSE_S, Tracker, TrackerThread
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_plan import task_of


class TrackerCallback(Callback):  # type: ignore[misc]
    """Hands what is recorded to the thread of a tracker; it comes after the callback that records.

    Args:
        thread: runs the tracker.
        recorder: has the records.
    """

    def __init__(self, thread: TrackerThread[Tracker], recorder: Recorder) -> None:
        self.thread, self._recorder = thread, recorder
        self._sent = {trial_id: len(rows) for trial_id, rows in recorder.epochs.items()}
        """Trial -> number of epochs that are queued, or were recorded before this session."""
        self._open: set[str] = set()

    def on_trial_result(self, *, trial: Any, **_: Any) -> None:
        """Hand over epochs that are recorded."""
        self._hand_over(task_of(trial.config).trial_id)

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        """Hand over the end of a trial."""
        self._hand_over(task_of(trial.config).trial_id, has_ended=True)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Hand over the end of a trial, unless it continues in another process."""
        trial_id = task_of(trial.config).trial_id
        self._hand_over(trial_id, has_ended=self._recorder.trials[trial_id].is_finished)

    def end_all(self) -> None:
        """Hand over the end of all trials that have not ended: nothing trains any more."""
        for trial_id in sorted(self._open):
            self._hand_over(trial_id, has_ended=True)

    def _hand_over(self, trial_id: str, has_ended: bool = False) -> None:
        """Queue the news of a trial; where the queue is full, they come with the next ones."""
        rows, sent = self._recorder.epochs.get(trial_id, []), self._sent.get(trial_id, 0)
        new = tuple(row for row in rows[sent:] if not row[records.INHERITED])
        if not new and not has_ended:
            self._sent[trial_id] = len(rows)  # also where epochs are trained again, and there are fewer of them
            return
        is_first = trial_id not in self._open
        earlier = tuple(row for row in rows[:sent] if not row[records.INHERITED]) if is_first else ()
        trial = self._recorder.trials[trial_id].to_row()

        def show(tracker: Tracker) -> None:
            if is_first:
                tracker.begin(trial, earlier)
            if new:
                tracker.add(trial_id, new)
            if has_ended:
                tracker.end(trial)

        if self.thread.put(show):
            self._sent[trial_id] = len(rows)
            if has_ended:
                self._open.discard(trial_id)
            else:
                self._open.add(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file that is never read back."""
        return {}


def close_trackers(
    callbacks: Sequence[TrackerCallback], users: Sequence[UserOnlooker] = (), within_s: float = CLOSE_S
) -> None:
    """End the runs of all trackers and wait for them and for the callbacks of the user.

    Args:
        callbacks: those of the trackers.
        users: those of the user.
        within_s: most seconds to wait for all together.
    """
    for callback in callbacks:
        callback.end_all()
    deadline = time.monotonic() + within_s
    for thread in (*(one.thread for one in callbacks), *(one.thread for one in users)):
        thread.close(deadline)


def tracker_callbacks(space: SearchSpace, recorder: Recorder) -> list[TrackerCallback]:
    """Return a callback for each tracker of the space, whose threads begin with the first event."""
    return [TrackerCallback(tracker_thread(name, space, recorder.folder), recorder) for name in space.track]
