"""Ends a driver that has lost its Ray, which would otherwise hang, or be ended by Ray without a message.

When the head's GCS is gone, Ray's C++ code ends the driver after a minute, with no exception; when the raylet of the
driver's node is gone, the driver waits forever. So threads query both regularly, and another thread ends the process
once one is certainly gone, or has not answered within a time limit.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import ray

from absgd.errors import UserError
from absgd.terminal import EXIT_FAILED
from tune_runs.ray_cluster.http2 import greets

LIMIT_S = 30.0
"""Time without an answer; less than the 60 s after which Ray ends a driver whose GCS does not answer
(RAY_gcs_rpc_server_reconnect_timeout_s)."""
LIMIT_VARIABLE = "ABSGD_TUNE_LOST_AFTER_S"
LEAST_LIMIT_S = 5.0
ASK_EVERY_S = CHECK_SILENCE_EVERY_S = LISTEN_S = 1.0
PROBE_TIMEOUT_S = 5.0
_MANY = 4096
_STOP_WITHIN_S = 5.0
_WRITE_WITHIN_S = 5.0
_SHOW_CURSOR = b"\x1b[?25h"


class Lost(Exception):  # noqa: N818 - names an event, not a fault
    """A part of the cluster is certainly gone; the message names it."""


class Question(NamedTuple):
    """A query that is sent to one part of a cluster repeatedly."""

    part: str
    ask: Callable[[], object]
    """Returns when the part answers, and raises `Lost` when it is gone; without an answer it blocks, or raises OSError
    or an error of Ray."""
    pause_s: float = ASK_EVERY_S
    """Pause after an answer, before the next query."""
    is_awaited: bool = True
    """Whether a pending query must return before the cluster is left."""


class _Asker:
    """Asks one question from its own thread, and counts the answers."""

    def __init__(self, question: Question, stopped: threading.Event, lose: Callable[[str], None]) -> None:
        self.question, self.silent_s = question, 0.0
        self._stopped, self._lose = stopped, lose
        self._num_answers = self._num_seen = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def add_silence(self, seconds: float) -> None:
        """Add a time to the silence; an answer in the meantime ends the silence."""
        num_answers = self._num_answers
        self.silent_s = self.silent_s + seconds if num_answers == self._num_seen else 0.0
        self._num_seen = num_answers

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.question.ask()
                self._num_answers += 1
            except Lost as lost:
                self._lose(str(lost))
                return
            except (OSError, RuntimeError, ValueError, ray.exceptions.RayError):
                pass  # no answer, which the watching thread counts
            self._stopped.wait(self.question.pause_s)


class Watchdog:
    """Calls `on_lost` once, from its own thread: at once when a part is certainly gone, else after a silence.

    Time in which this process itself did not run (stopped by Ctrl-Z, or while one thread held Python's lock) does not
    count as silence.

    Args:
        questions: each is asked from its own thread.
        on_lost: called with a description of the lost part.
        limit_s: seconds without an answer after which a part counts as lost.
        check_every_s: seconds between two checks of the silences.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        on_lost: Callable[[str], None],
        limit_s: float = LIMIT_S,
        check_every_s: float = CHECK_SILENCE_EVERY_S,
    ) -> None:
        self._on_lost, self._limit_s, self._every_s = on_lost, limit_s, check_every_s
        self._stopped = threading.Event()
        self._told = threading.Lock()
        self._askers = [_Asker(one, self._stopped, self._lose) for one in questions]
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Start asking."""
        for asker in self._askers:
            asker.thread.start()
        self._watching.start()

    def stop(self) -> None:
        """Stop asking; wait for a pending query to Ray, since Ray must not be shut down during it."""
        self._stopped.set()
        self._watching.join()
        for asker in self._askers:
            if asker.question.is_awaited:
                asker.thread.join(_STOP_WITHIN_S)

    def _watch(self) -> None:
        checked_at = time.monotonic()
        while not self._stopped.wait(self._every_s):
            now = time.monotonic()
            for asker in self._askers:
                asker.add_silence(min(now - checked_at, 2 * self._every_s))
            checked_at = now
            silent = [asker.question.part for asker in self._askers if asker.silent_s >= self._limit_s]
            if silent:
                self._lose(f"no answer for {self._limit_s:g} s from {' and '.join(silent)}")
                return

    def _lose(self, what: str) -> None:
        if self._told.acquire(blocking=False) and not self._stopped.is_set():
            self._on_lost(what)


@contextmanager
def watchdog(address: str | None, resume_command: str) -> Iterator[None]:
    """End this process with a message and status 1 if its Ray is lost while the block runs.

    Args:
        address: address of the cluster that was joined; None for a Ray that this process started.
        resume_command: command that resumes the search, for the message.

    Raises:
        UserError: if ABSGD_TUNE_LOST_AFTER_S is not a number of seconds, at least 5.
    """

    def end(lost: str) -> None:
        _end(lost_message(lost, address, resume_command))

    limit_s = _limit_s()
    watching = Watchdog(questions_to_ray(), end, limit_s=limit_s)
    watching.start()
    try:
        yield
    finally:
        watching.stop()


def questions_to_ray() -> list[Question]:
    """Return the questions to the Ray of this process: to its head, and to the raylet of the driver's node.

    The head declares a node that hangs dead, but only after a minute; and once a raylet is gone, Ray ends the driver
    within a second, after it has failed the trials of that node. So the raylet is queried directly.
    """
    own_id = ray.get_runtime_context().get_node_id()
    own = next(node for node in ray.nodes() if node["NodeID"] == own_id)
    raylet = (own["NodeManagerAddress"], own["NodeManagerPort"])
    return [
        Question("its head", lambda: _check_alive(own_id)),
        Question("the raylet on the driver's node", lambda: check_answers(*raylet), pause_s=0.02, is_awaited=False),
    ]


def check_answers(host: str, port: int, listen_s: float = LISTEN_S) -> None:
    """Ask a gRPC server for a sign of life, then listen for its end, which the kernel reports at once.

    The kernel accepts connections for a process that hangs, so an accepted connection proves nothing. A server that
    closes the connection, because it expects TLS, is alive if it accepts another one.

    Raises:
        Lost: if nothing listens there.
        OSError: if it does not answer within a few seconds.
    """
    try:
        with socket.create_connection((host, port), PROBE_TIMEOUT_S) as connection:
            if greets(connection) is not None and not _is_closed_within(listen_s, connection):
                return
        socket.create_connection((host, port), PROBE_TIMEOUT_S).close()
    except ConnectionRefusedError:
        raise Lost("the raylet on the driver's node is gone") from None


def _is_closed_within(seconds: float, connection: socket.socket) -> bool:
    deadline = time.monotonic() + seconds
    try:
        while (left_s := deadline - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(_MANY):
                return True
    except TimeoutError:
        pass
    except ConnectionResetError:
        return True
    return False


def lost_message(lost: str, address: str | None, resume_command: str) -> str:
    """Return the message that says what was lost, what was not, and how to continue."""
    where = f"the Ray cluster at {address}" if address else "the Ray of this process"
    return f"absgd-tune: error: lost {where}: {lost}. Everything recorded is on disk; continue with: {resume_command}"


def _check_alive(node_id: str) -> None:
    if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id):
        raise Lost("the driver's node is dead, says its head")


def _limit_s() -> float:
    given = os.environ.get(LIMIT_VARIABLE, str(LIMIT_S))
    try:
        limit_s = float(given)
    except ValueError:
        limit_s = -1.0
    if not LEAST_LIMIT_S <= limit_s < float("inf"):
        raise UserError(f"expected a number of seconds >= {LEAST_LIMIT_S:g}, got {given!r} ({LIMIT_VARIABLE})")
    return limit_s


def _end(message: str) -> None:
    """End the process with a message, written to the file descriptors: the main thread may hold the locks of Python's
    files and of rich."""
    last = threading.Timer(_WRITE_WITHIN_S, os._exit, [EXIT_FAILED])  # for a pipe that nobody reads
    last.daemon = True
    last.start()
    try:
        for descriptor in (1, 2):
            if os.isatty(descriptor):
                os.write(descriptor, _SHOW_CURSOR + b"\n")
                break
        os.write(2, f"{message}\n".encode())
    finally:
        os._exit(EXIT_FAILED)
