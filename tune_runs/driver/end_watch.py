"""A word before a search ends, for what can be prepared meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ray.tune import Callback

from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.trial.trial_reports import report_of

NEAR_S = 60.0
"""Most time left when the end is near. A confirmation may end long before it has trained all that it might."""


class EndWatch(Callback):  # type: ignore[misc]
    """Says once that the end of a search is near: all that is left are confirmations, at most for NEAR_S.

    Args:
        confirmations: those that this session runs.
        say_near: is called once.
    """

    def __init__(self, confirmations: Mapping[str, ScenarioConfirmation], say_near: Callable[[], None]) -> None:
        self._confirmations: Collection[ScenarioConfirmation] = confirmations.values()
        self._say_near = say_near
        self._epoch_s: float | None = None
        self._has_said = False

    def on_trial_result(self, *, result: dict[str, Any], **_: Any) -> None:
        """Take the time of an epoch."""
        report = report_of(result)
        if report is not None and report.epoch is not None:
            self._epoch_s = report.epoch.record.train_s + report.epoch.record.val_s

    def on_trial_complete(self, **_: Any) -> None:
        """Say so if the end is near, were all that is left trained by one process."""
        if self._has_said or self._epoch_s is None or not all(one.rounds for one in self._confirmations):
            return
        if sum(one.epochs_left for one in self._confirmations) * self._epoch_s <= NEAR_S:
            self._has_said = True
            self._say_near()
