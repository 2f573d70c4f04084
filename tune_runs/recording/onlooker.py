"""A callback that only shows what is recorded elsewhere: whatever happens to it, trials and records go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partialmethod
from typing import Any

from ray.tune import Callback

from absgd.terminal import warn
from tune_runs.recording.trackers import TrackerThread
from tune_runs.trial.trial_plan import task_of
from tune_runs.trial.trial_reports import report_of


class Onlooker(Callback):  # type: ignore[misc]
    """Passes the events of a search to a callback that only shows or tracks.

    An error raised in a callback reaches Tune, which would take it for one of the trial. So the first error of the
    callback is warned about, and it is told nothing more.

    Args:
        callback: the callback.
        what: names what it shows, in the warning.
    """

    def __init__(self, callback: Callback, what: str) -> None:
        self._callback, self._what = callback, what
        self._has_failed = False

    def _tell(self, name: str, /, **event: Any) -> None:
        self._pass_on(name, event)

    def _pass_on(self, name: str, event: dict[str, Any]) -> None:
        if self._has_failed:
            return
        try:
            getattr(self._callback, name)(**event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the results are not affected
            self._has_failed = True
            _warn_if_possible(f"{self._what} ends here ({type(error).__name__}: {error}); the search goes on")

    setup = partialmethod(_tell, "setup")
    on_step_begin = partialmethod(_tell, "on_step_begin")
    on_step_end = partialmethod(_tell, "on_step_end")
    on_trial_start = partialmethod(_tell, "on_trial_start")
    on_trial_result = partialmethod(_tell, "on_trial_result")
    on_trial_complete = partialmethod(_tell, "on_trial_complete")
    on_trial_error = partialmethod(_tell, "on_trial_error")
    on_experiment_end = partialmethod(_tell, "on_experiment_end")

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file that is never read back."""
        return {}


class UserOnlooker(Onlooker):
    """Passes the events of a search to a callback of a user in a thread, with results that hold metrics by their names.

    A result has the metrics of the epoch (`absgd.records.EpochRecord`), `trial_id`, `scenario`, `phase`, the settings
    of the run under `config`, and Ray's own keys; where a trial diverged, the reason under `divergence` and no metrics.

    Args:
        callback: the callback.
        phase_of: trial id -> its phase.
    """

    def __init__(self, callback: Callback, phase_of: Callable[[str], str]) -> None:
        what = f"the callback {type(callback).__name__}"
        super().__init__(callback, what)
        self.thread = TrackerThread(what, lambda: callback, close=_leave)
        self._phase_of = phase_of

    def _pass_on(self, name: str, event: dict[str, Any]) -> None:
        method = getattr(self._callback, name, None)
        if method is None or getattr(method, "__func__", None) is getattr(Callback, name):  # which does nothing
            return
        self.thread.put(lambda _: method(**event))

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **event: Any) -> None:
        """Pass the event on, unless it has no report."""
        if (report := report_of(result)) is None:
            return
        task = task_of(trial.config)
        about = {"trial_id": task.trial_id, "scenario": task.scenario, "phase": self._phase_of(task.trial_id)}
        rays_own = {key: value for key, value in result.items() if value is not report}
        every = [dataclasses.asdict(epoch.record) for epoch in report.trained]
        if report.divergence:
            every.append({"divergence": report.divergence})
        for metrics in every:
            told = {**rays_own, **metrics, **about, "config": task.config.to_dict()}
            self._pass_on("on_trial_result", {"trial": trial, "result": told, **event})


def _leave(_: Callback) -> None:
    """Do nothing at the end, which Tune itself has told the callback."""


def _warn_if_possible(message: str) -> None:
    try:
        warn(message)
    except (OSError, ValueError):  # of a stream that does not forgive, such as one that was replaced
        return
