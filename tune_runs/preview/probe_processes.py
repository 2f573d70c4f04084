"""Processes of this machine that train at the same time, each on request.

Imports neither Ray nor Optuna.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

from absgd.child_process import end_with_parent, interrupts_held
from absgd.errors import UserError
from tune_runs.trial.failures import cause_of, is_gpu_memory

_STOP_WITHIN_S = 10.0
_STATUS = Path("/proc/self/status")
TrainOnRequest = Callable[[Any], int]
"""Trains what is requested, waits for the device, and returns the peak memory of its process in bytes."""


class TimedPass(NamedTuple):
    """One request trained by one process; times in seconds on the clock that all processes of a machine share."""

    started: float
    ended: float
    peak_bytes: int
    """Peak memory of the process; see `TrainOnRequest`."""


class ProbeProcessLost(RuntimeError):  # noqa: N818 - names an event
    """A process ended before it was asked to; the message gives the reason in one line."""

    def __init__(self, words: str, is_gpu_memory: bool = False) -> None:
        super().__init__(words)
        self.is_gpu_memory = is_gpu_memory
        """Whether the GPU ran out of memory."""


class ProbeProcesses:
    """Processes that each call `make` once and train with its result; the block ends them, and so does losing one.

    Args:
        make: called in each process; pickle must be able to import it by name.
        limit_s: seconds from now on within which every reply must have come, the first one of each process too.
    """

    def __init__(self, make: Callable[[], TrainOnRequest], limit_s: float = math.inf) -> None:
        self._make, self._limit_s = make, limit_s
        self._until = time.monotonic() + limit_s
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._asked: list[Connection] = []

    def __enter__(self) -> ProbeProcesses:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            until = time.monotonic() + _STOP_WITHIN_S
            for one in self._asked:
                one.send(None)
            for process in self._processes:
                process.join(max(0.0, until - time.monotonic()))
        self._end()

    @property
    def count(self) -> int:
        """Number of running processes."""
        return len(self._processes)

    def grow(self, count: int) -> None:
        """Start processes until there are `count`, and wait until each is ready to train.

        Raises:
            ProbeProcessLost: if one ended instead.
        """
        before = self.count
        for _ in range(count - before):
            mine, other = self._context.Pipe()
            # Not a daemon: a daemon may not start the processes that read images.
            process = self._context.Process(target=_serve, args=(self._make, other))
            with interrupts_held():
                process.start()
            other.close()
            self._processes.append(process)
            self._asked.append(mine)
        self._replies(range(before, self.count))

    def train(self, asked: Sequence[Any]) -> list[TimedPass]:
        """Send one request to each of the first processes, which train at the same time.

        Raises:
            ProbeProcessLost: if one has ended.
        """
        self.grow(len(asked))
        for place, wanted in enumerate(asked):
            with suppress(OSError):  # it has ended: its last message is read below
                self._asked[place].send(wanted)
        return self._replies(range(len(asked)))

    def _replies(self, places: Sequence[int]) -> list[Any]:
        try:
            return [self._reply(place) for place in places]
        except ProbeProcessLost:
            self._end()
            raise

    def _reply(self, place: int) -> Any:
        try:
            left_s = None if math.isinf(self._until) else max(0.0, self._until - time.monotonic())
            if not self._asked[place].poll(left_s):
                raise ProbeProcessLost(f"it took longer than the {self._limit_s:.3g} s left for it")
            said = self._asked[place].recv()
        except (EOFError, OSError):
            process = self._processes[place]
            process.join(_STOP_WITHIN_S)
            raise ProbeProcessLost(f"its process ended {_ending(process.exitcode)}") from None
        if isinstance(said, _Fault):
            raise ProbeProcessLost(*said)
        return said

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for one in self._asked:
            one.close()
        self._processes, self._asked = [], []


def span_s(passes: Sequence[TimedPass]) -> float:
    """Return the seconds from the first start to the last end.

    >>> span_s([TimedPass(0.0, 1.0, 0), TimedPass(1.0, 2.0, 0)])
    2.0
    """
    return max(one.ended for one in passes) - min(one.started for one in passes)


class _Fault(NamedTuple):
    words: str
    is_gpu_memory: bool


def _serve(make: Callable[[], TrainOnRequest], asked: Connection) -> None:
    """Serve one process: train on each request, until None asks it to end."""
    end_with_parent()
    try:
        train = make()
        asked.send(None)
        while (wanted := asked.recv()) is not None:
            started = time.monotonic()
            peak_bytes = train(wanted)
            asked.send(TimedPass(started, time.monotonic(), peak_bytes))
    except Exception as error:  # noqa: BLE001 - the asking process reports any error
        asked.send(_fault_of(error))


def _fault_of(error: Exception) -> _Fault:
    if isinstance(error, UserError):
        return _Fault(str(error), False)
    text = "".join(traceback.format_exception(error))
    return _Fault(cause_of(text).words, is_gpu_memory(text))


def _ending(status: int | None) -> str:
    """Describe how a process ended.

    >>> _ending(-9), _ending(3)
    ('by SIGKILL', 'with exit status 3')
    """
    if status is None:
        return "without a status"
    return f"with exit status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory of this process in bytes.

    On a GPU this is the memory that torch reserved, without that of CUDA itself; on CPU the resident memory, with pages
    shared with other processes.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if _STATUS.exists():  # getrusage would count the parent process too
        kib = next((line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")), "0")
        return int(kib) * 2**10
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 2**10
