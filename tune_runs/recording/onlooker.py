"""A callback that only shows what is recorded elsewhere: whatever happens to it, trials and records go on."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback

from absgd.terminal import warn


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

    def on_trial_result(self, **event: Any) -> None:
        """Pass the event on."""
        self._tell("on_trial_result", event)

    def on_trial_complete(self, **event: Any) -> None:
        """Pass the event on."""
        self._tell("on_trial_complete", event)

    def on_trial_error(self, **event: Any) -> None:
        """Pass the event on."""
        self._tell("on_trial_error", event)

    def on_step_end(self, **event: Any) -> None:
        """Pass the event on."""
        self._tell("on_step_end", event)

    def on_experiment_end(self, **event: Any) -> None:
        """Pass the event on."""
        self._tell("on_experiment_end", event)

    def _tell(self, name: str, event: dict[str, Any]) -> None:
        if self._has_failed:
            return
        try:
            getattr(self._callback, name)(**event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the results are not affected
            self._has_failed = True
            _warn_if_possible(f"{self._what} ends here ({type(error).__name__}: {error}); the search goes on")

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file that is never read back."""
        return {}


def _warn_if_possible(message: str) -> None:
    try:
        warn(message)
    except (OSError, ValueError):  # of a stream that does not forgive, such as one that was replaced
        return
