"""The process of a cohort: trains its trials in turns, and hands each one's reports to whoever asks for them.

One thread trains; calls come from others. A trial rests from its report until it is asked for the next one, which is
when its driver wants it to go on: a trial that is stopped has trained no epoch more than it would have alone.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from absgd.config import RunConfig
from absgd.training.cohort import Cohort, RunEnded, RunFailed
from absgd.training.device import chosen_device
from tune_runs.trial.reports import HostAnswer

Report = dict[str, Any]
Start = Callable[[dict[str, Any]], Iterator[Report | None]]
"""What a trial, from `trial_config`, has to report; None after each step."""

LOOK_EVERY_S = 1.0
"""How often the host looks whether the processes of its trials are still there."""
TAKE_S = 5.0
"""In which a failed trial takes its error before the process ends with it."""
IDLE_S = 0.02
"""How often it looks whether those who wait for others may begin."""


class NoMember(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """The host does not know the trial, or no longer."""


@dataclass
class _Trial:
    """A member, as its own process knows it."""

    trial_id: str
    process: int
    said: Report | RunEnded | RunFailed | None = None
    """What waits to be taken."""
    is_asked: bool = False
    """Whether its next report was asked for."""


class CohortHost:
    """Trains up to `size` trials in turns, until the process ends.

    Args:
        size: trials at most.
        start: makes the run of a trial, on the thread that trains.
    """

    def __init__(self, size: int, start: Start) -> None:
        self._size, self._start = size, start
        self._changed = threading.Condition()
        self._trials: dict[str, _Trial] = {}
        self._orders: list[Callable[[Cohort[Report]], None]] = []
        """What the training thread is to do before its next turn."""
        self._has_begun = False
        self._looked = 0.0

    def join(self, name: str, trial: dict[str, Any], process: int) -> bool:
        """Take in a trial, whose first report is then asked for; whether there is room.

        Whoever is here of the same trial, or of the same process, is of before, and leaves.

        Args:
            name: of its own, of this attempt alone.
            trial: from `trial_config`.
            process: its own, on this machine: the trial leaves when it is gone.

        Raises:
            UserError: if its device is not there.
        """
        device = chosen_device(RunConfig.from_dict(trial["run_config"]).device)
        with self._changed:
            for other, known in list(self._trials.items()):
                if trial["trial_id"] == known.trial_id or process == known.process:
                    self._forget(other)
            if len(self._trials) >= self._size:
                return False
            self._begin(device)
            self._trials[name] = _Trial(trial["trial_id"], process, is_asked=True)
            self._order(lambda cohort: cohort.join(name, self._start(trial)))
            return True

    def next_report(self, name: str, wait_s: float) -> HostAnswer:
        """The next report of a trial, which goes on for it, if there is one in so many seconds.

        Raises:
            NoMember: if it is not here.
            Exception: what ended the trial.
        """
        with self._changed:
            trial = self._known(name)
            if not trial.is_asked:
                trial.is_asked = True
                self._order(lambda cohort: cohort.resume(name))
            self._changed.wait_for(lambda: trial.said is not None or name not in self._trials, wait_s)
            said, trial.said = self._known(name).said, None
            if said is not None:
                trial.is_asked = False
            if isinstance(said, RunEnded | RunFailed):
                del self._trials[name]
                self._changed.notify_all()
        if isinstance(said, RunFailed):
            raise said.error
        return HostAnswer(has_ended=True) if isinstance(said, RunEnded) else HostAnswer(said)

    def leave(self, name: str) -> None:
        """End a trial where it is; nothing where it is not here."""
        with self._changed:
            self._forget(name)

    def _known(self, name: str) -> _Trial:
        if name not in self._trials:
            raise NoMember(f"the cohort does not know {name}")
        return self._trials[name]

    def _forget(self, name: str) -> None:
        if self._trials.pop(name, None) is not None:
            self._order(lambda cohort: cohort.leave(name))

    def _order(self, order: Callable[[Cohort[Report]], None]) -> None:
        self._orders.append(order)
        self._changed.notify_all()

    def _begin(self, device: torch.device) -> None:
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._train, args=(device,), daemon=True).start()

    def _train(self, device: torch.device) -> None:
        """Turns without end; an error that is no trial's own ends the process, and its trials go on in another."""
        try:
            cohort: Cohort[Report] = Cohort(device, self._size)
            while True:
                self._obey(cohort)
                if cohort.is_idle():
                    self._rest(cohort, device)
                else:
                    self._deliver(cohort.turn(), device)
        except Exception:  # noqa: BLE001 - whatever it is, nobody else would hear of it
            traceback.print_exc()
            os._exit(1)

    def _obey(self, cohort: Cohort[Report]) -> None:
        """Do what was ordered, and now and then look who is gone."""
        with self._changed:
            if time.monotonic() - self._looked >= LOOK_EVERY_S:
                self._looked = time.monotonic()
                self._forget_the_dead()
            orders, self._orders = self._orders, []
        for order in orders:
            order(cohort)

    def _rest(self, cohort: Cohort[Report], device: torch.device) -> None:
        """Until something is ordered, or those who wait for others may begin."""
        if not cohort.names and device.type == "cuda":
            torch.cuda.empty_cache()
        with self._changed:
            if not self._orders:
                self._changed.wait(IDLE_S if cohort.names else LOOK_EVERY_S)

    def _deliver(self, said: list[tuple[str, Report | RunEnded | RunFailed]], device: torch.device) -> None:
        """Hand out what was said; an error that has spoilt the GPU for all ends the process once it is taken."""
        if not said:
            return
        with self._changed:
            for name, word in said:
                if name in self._trials:
                    self._trials[name].said = word
            self._changed.notify_all()
        if device.type == "cuda" and any(isinstance(word, RunFailed) for _, word in said):
            try:
                torch.cuda.synchronize(device)
                torch.cuda.empty_cache()
            except RuntimeError:
                with self._changed:
                    self._changed.wait_for(lambda: not self._has_failures, TAKE_S)
                raise

    @property
    def _has_failures(self) -> bool:
        return any(isinstance(trial.said, RunFailed) for trial in self._trials.values())

    def _forget_the_dead(self) -> None:
        for name, trial in list(self._trials.items()):
            if not is_alive(trial.process):
                self._forget(name)


def is_alive(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        with suppress(PermissionError):
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
