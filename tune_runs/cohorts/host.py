"""The host of a cohort: trains its trials in turns, and hands each one's reports to the trial's own process.

One thread trains; calls come from other threads. A trial rests from its report until the next one is requested, which
happens when the driver lets the trial continue: a trial that is stopped has trained no more epochs than it would have
alone.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import torch

from absgd.training.cohort import Cohort, RunEnded, RunFailed
from absgd.training.device import chosen_device
from tune_runs.cohorts.messages import HostAnswer
from tune_runs.trial.trial_plan import TrialTask
from tune_runs.trial.trial_reports import TrialReport

StartRun = Callable[[TrialTask], Iterator[TrialReport | None]]
"""Starts the run of a trial, which yields None after each training step, and each report."""
TurnOutcome = TrialReport | RunEnded | RunFailed
"""A report of a trial, or its end."""

CHECK_EVERY_S = 1.0
"""How often the host checks whether the processes of its trials still exist."""
COLLECT_S = 5.0
"""Time for a failed trial to collect its error before the host's process ends with it."""
IDLE_S = 0.02
"""How often the host checks whether trials that wait for others may begin."""


class NoMember(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """The host does not have the trial, or no longer has it."""


@dataclass
class _HostedTrial:
    """A trial on the host, with the process that reports for it."""

    trial_id: str
    process: int
    """Id of the trial's own process, on this machine."""
    outcome: TurnOutcome | None = None
    """Outcome that waits to be collected."""
    is_requested: bool = False
    """Whether its next report was requested."""


class CohortHost:
    """Trains up to `size` trials in turns, until the process ends.

    Args:
        size: most trials at once.
        start: starts the run of a trial, on the thread that trains.
    """

    def __init__(self, size: int, start: StartRun) -> None:
        self._size, self._start = size, start
        self._changed = threading.Condition()
        self._trials: dict[str, _HostedTrial] = {}
        self._orders: list[Callable[[Cohort[TrialReport]], None]] = []
        """Changes that the training thread makes before its next turn."""
        self._has_begun = False
        self._checked_at = 0.0

    def join(self, name: str, task: TrialTask, process: int) -> bool:
        """Take in a trial and request its first report; return whether there was room.

        An entry left by an earlier attempt of the same trial or process is evicted.

        Args:
            name: unique to this attempt of the trial.
            task: the trial.
            process: id of the trial's own process, on this machine: the trial leaves when that process is gone.

        Raises:
            UserError: if the trial's device does not exist.
        """
        device = chosen_device(task.config.device)
        with self._changed:
            for other, known in list(self._trials.items()):
                if task.trial_id == known.trial_id or process == known.process:
                    self._forget(other)
            if len(self._trials) >= self._size:
                return False
            self._begin(device)
            self._trials[name] = _HostedTrial(task.trial_id, process, is_requested=True)
            self._order(lambda cohort: cohort.join(name, self._start(task)))
            return True

    def next_report(self, name: str, wait_s: float) -> HostAnswer:
        """Let a trial continue to its next report and return it, if there is one within `wait_s` seconds.

        Raises:
            NoMember: if the host does not know the trial.
            Exception: the error that ended the trial.
        """
        with self._changed:
            trial = self._known(name)
            if not trial.is_requested:
                trial.is_requested = True
                self._order(lambda cohort: cohort.resume(name))
            self._changed.wait_for(lambda: trial.outcome is not None or name not in self._trials, wait_s)
            outcome, trial.outcome = self._known(name).outcome, None
            if outcome is not None:
                trial.is_requested = False
            if isinstance(outcome, RunEnded | RunFailed):
                del self._trials[name]
                self._changed.notify_all()
        if isinstance(outcome, RunFailed):
            raise outcome.error
        return HostAnswer(has_ended=True) if isinstance(outcome, RunEnded) else HostAnswer(outcome)

    def leave(self, name: str) -> None:
        """End a trial after its current step; do nothing where the host does not know it."""
        with self._changed:
            self._forget(name)

    def _known(self, name: str) -> _HostedTrial:
        if name not in self._trials:
            raise NoMember(f"the cohort does not know {name}")
        return self._trials[name]

    def _forget(self, name: str) -> None:
        if self._trials.pop(name, None) is not None:
            self._order(lambda cohort: cohort.leave(name))

    def _order(self, order: Callable[[Cohort[TrialReport]], None]) -> None:
        self._orders.append(order)
        self._changed.notify_all()

    def _begin(self, device: torch.device) -> None:
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._train, args=(device,), daemon=True).start()

    def _train(self, device: torch.device) -> None:
        """Take turns without end; an error of the host itself ends the process, and its trials resume in another."""
        try:
            cohort: Cohort[TrialReport] = Cohort(device, self._size)
            while True:
                self._carry_out_orders(cohort)
                if cohort.is_idle():
                    self._rest(cohort, device)
                else:
                    self._deliver(cohort.turn(), device)
        except Exception:  # noqa: BLE001 - whatever it is, nothing else would report it
            traceback.print_exc()
            os._exit(1)

    def _carry_out_orders(self, cohort: Cohort[TrialReport]) -> None:
        """Carry out the orders, and from time to time drop trials whose processes are gone."""
        with self._changed:
            if time.monotonic() - self._checked_at >= CHECK_EVERY_S:
                self._checked_at = time.monotonic()
                self._forget_the_dead()
            orders, self._orders = self._orders, []
        for order in orders:
            order(cohort)

    def _rest(self, cohort: Cohort[TrialReport], device: torch.device) -> None:
        """Wait until there is an order, or until trials that wait for others may begin."""
        if not cohort.names and device.type == "cuda":
            torch.cuda.empty_cache()
        with self._changed:
            if not self._orders:
                self._changed.wait(IDLE_S if cohort.names else CHECK_EVERY_S)

    def _deliver(self, outcomes: list[tuple[str, TurnOutcome]], device: torch.device) -> None:
        """Hand out the outcomes of a turn; after an error that spoils the GPU for all, end once it is collected.

        Raises:
            RuntimeError: if the GPU can no longer be used.
        """
        if not outcomes:
            return
        with self._changed:
            for name, outcome in outcomes:
                if name in self._trials:
                    self._trials[name].outcome = outcome
            self._changed.notify_all()
        if device.type == "cuda" and any(isinstance(outcome, RunFailed) for _, outcome in outcomes):
            try:
                torch.cuda.synchronize(device)
                torch.cuda.empty_cache()
            except RuntimeError:
                with self._changed:
                    self._changed.wait_for(lambda: not self._has_failures, COLLECT_S)
                raise

    @property
    def _has_failures(self) -> bool:
        return any(isinstance(trial.outcome, RunFailed) for trial in self._trials.values())

    def _forget_the_dead(self) -> None:
        for name, trial in list(self._trials.items()):
            if not is_alive(trial.process):
                self._forget(name)


def is_alive(process: int) -> bool:
    """Whether a process with this id exists on this machine."""
    try:
        with suppress(PermissionError):
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
