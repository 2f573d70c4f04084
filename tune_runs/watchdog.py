"""The end of a driver whose Ray is lost: left to itself it would hang for good, or be ended by Ray without a word.

When the head's GCS is gone, Ray's C++ ends the driver after a minute, with no exception; when the raylet that the
driver is attached to is gone, the driver waits for ever. So one thread asks both regularly, and another ends the
process once one is gone for certain, or a whole limit has passed without an answer.
"""

from __future__ import annotations

import os
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import ray

from absgd.errors import UserError
from absgd.terminal import EXIT_FAILED
from tune_runs.progress import shortened

LIMIT_S = 30.0
"""Below the 60 s after which Ray ends a driver whose GCS does not answer (RAY_gcs_rpc_server_reconnect_timeout_s)."""
LIMIT_VARIABLE = "ABSGD_TUNE_LOST_AFTER_S"
ASK_EVERY_S = 1.0
PROBE_TIMEOUT_S = 5.0
_STOP_WITHIN_S = 5.0
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""Preface and empty SETTINGS frame, RFC 9113 section 3.4."""
_SHOW_CURSOR = b"\x1b[?25h"


class Lost(Exception):  # noqa: N818 - names an event, not a fault
    """A part of the cluster is gone for certain; the text says which."""


class Question(NamedTuple):
    """Something asked of one part of a cluster."""

    part: str
    ask: Callable[[], object]
    """Returns when all is well, raises `Lost`, or gives no answer: blocks, or raises OSError or Ray's own errors."""


class Watchdog:
    """Calls `on_lost` once, from a thread of its own: at once where a part is gone for certain, else after a silence.

    Time in which this process itself did not run (stopped by Ctrl-Z, or a thread that kept Python's lock) is no
    silence: nobody was listening.

    Args:
        questions: asked in turn, round after round; a silence is a time without a whole round.
        on_lost: given what was lost.
        limit_s: seconds of silence that are borne.
        ask_every_s: pause between two rounds.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        on_lost: Callable[[str], None],
        limit_s: float = LIMIT_S,
        ask_every_s: float = ASK_EVERY_S,
    ) -> None:
        self._questions, self._on_lost = questions, on_lost
        self._limit_s, self._ask_every_s = limit_s, ask_every_s
        self._stopped = threading.Event()
        self._num_rounds = 0
        self._asked = questions[0].part
        self._lost: str | None = None
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._ask, self._watch)]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more; a question under way is waited for, since Ray must not be shut down beneath it."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_WITHIN_S)

    def _ask(self) -> None:
        while not self._stopped.is_set():
            try:
                self._ask_all()
                self._num_rounds += 1
            except Lost as lost:
                self._lost = str(lost)
                return
            except (OSError, RuntimeError, ValueError, ray.exceptions.RayError):
                pass  # no answer, which the other thread counts
            self._stopped.wait(self._ask_every_s)

    def _ask_all(self) -> None:
        for question in self._questions:
            self._asked = question.part
            question.ask()

    def _watch(self) -> None:
        silent_s, num_rounds, looked_at = 0.0, 0, time.monotonic()
        while not self._stopped.wait(self._ask_every_s):
            now = time.monotonic()
            silent_s += min(now - looked_at, 2 * self._ask_every_s)
            looked_at = now
            if num_rounds != self._num_rounds:
                silent_s, num_rounds = 0.0, self._num_rounds
            if self._lost is None and silent_s < self._limit_s:
                continue
            self._on_lost(self._lost or f"no answer for {self._limit_s:g} s from {self._asked}")
            return


@contextmanager
def watchdog(folder: Path, address: str | None) -> Iterator[None]:
    """End this process with a message and status 1 if its Ray is lost while the block runs.

    Args:
        folder: the run folder, which the message says how to resume.
        address: of the cluster that was joined; None for a Ray of this process.

    Raises:
        UserError: if ABSGD_TUNE_LOST_AFTER_S is not a number of seconds.
    """
    watching = Watchdog(questions_to_ray(), lambda lost: _end(lost_message(lost, folder, address)), limit_s=_limit_s())
    watching.start()
    try:
        yield
    finally:
        watching.stop()


def questions_to_ray() -> list[Question]:
    """What is asked of the Ray that this process is attached to: its head, then the raylet of the driver's own node.

    Ray's head finds a node that hangs after a minute; asking the raylet itself is faster.
    """
    own_id = ray.get_runtime_context().get_node_id()
    own = next(node for node in ray.nodes() if node["NodeID"] == own_id)
    raylet = (own["NodeManagerAddress"], own["NodeManagerPort"])
    return [
        Question("its head", lambda: _check_alive(own_id)),
        Question("the raylet on the driver's node", lambda: check_answers(*raylet)),
    ]


def check_answers(host: str, port: int) -> None:
    """Ask a gRPC server for a sign of life: a process that hangs has its connections accepted by the kernel alone.

    A server that closes the connection, as one does that expects TLS, is alive.

    Raises:
        Lost: if nothing listens there.
        OSError: if it is silent for some seconds.
    """
    try:
        with socket.create_connection((host, port), PROBE_TIMEOUT_S) as connection:
            with suppress(ConnectionResetError):
                connection.sendall(_HTTP2_GREETING)
                connection.recv(1)
    except ConnectionRefusedError:
        raise Lost("the raylet on the driver's node is gone") from None


def lost_message(lost: str, folder: Path, address: str | None) -> str:
    """What was lost, what was not, and how to go on."""
    where = f"the Ray cluster at {address}" if address else "the Ray of this process"
    resume = shlex.join(
        ["absgd-tune", "--resume", str(shortened(folder)), *(["--address", address] if address else [])]
    )
    return f"absgd-tune: error: lost {where}: {lost}. Everything recorded is on disk; go on with: {resume}"


def _check_alive(node_id: str) -> None:
    if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id):
        raise Lost("the driver's node is dead, says its head")


def _limit_s() -> float:
    given = os.environ.get(LIMIT_VARIABLE, str(LIMIT_S))
    try:
        limit_s = float(given)
    except ValueError:
        limit_s = -1.0
    if not 0 < limit_s < float("inf"):
        raise UserError(f"expected a number of seconds > 0, got {given!r} ({LIMIT_VARIABLE})")
    return limit_s


def _end(message: str) -> None:
    """Write to the descriptors themselves: the main thread may hold the locks of Python's files, and of rich."""
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            os.write(descriptor, _SHOW_CURSOR + b"\n")
            break
    os.write(2, f"{message}\n".encode())
    os._exit(EXIT_FAILED)
