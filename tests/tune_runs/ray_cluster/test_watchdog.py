"""A driver whose Ray is lost is ended; one whose machine is merely busy is not."""

from __future__ import annotations

import ctypes
import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ray.exceptions import RaySystemError

from absgd.errors import UserError
from tune_runs.ray_cluster.watchdog import (
    LIMIT_VARIABLE,
    Lost,
    Question,
    Watchdog,
    check_answers,
    lost_message,
    watchdog,
)

TICK_S = 0.02
LIMIT_S = 0.5
GO_ON = "absgd-tune --resume 'runs/my run' --address 10.0.0.1:6379"


class Alarm:
    """Notes what a watchdog reports as lost, and when."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.came = threading.Event()
        self.started = time.monotonic()
        self.after_s = 0.0

    def __call__(self, lost: str) -> None:
        self.after_s = time.monotonic() - self.started
        self.lost.append(lost)
        self.came.set()


def watched(*questions: Callable[[], object], limit_s: float = LIMIT_S) -> tuple[Watchdog, Alarm]:
    alarm = Alarm()
    names = ("the head", "the raylet")
    watching = Watchdog(
        [Question(*one, pause_s=TICK_S) for one in zip(names, questions, strict=False)], alarm, limit_s, TICK_S
    )
    watching.start()
    return watching, alarm


def never_answers() -> None:
    threading.Event().wait()


def raises(error: Exception) -> Callable[[], None]:
    def ask() -> None:
        raise error

    return ask


def test_cluster_that_answers_is_left_alone_and_no_thread_is_left() -> None:
    num_threads = threading.active_count()
    watching, alarm = watched(lambda: True, lambda: True)
    assert not alarm.came.wait(3 * LIMIT_S)
    watching.stop()
    assert threading.active_count() == num_threads


@pytest.mark.parametrize(
    "silence", [never_answers, raises(TimeoutError()), raises(RaySystemError("no GCS")), raises(RuntimeError("?"))]
)
@pytest.mark.parametrize("part", [0, 1])
def test_part_that_does_not_answer_is_named_after_the_limit(silence: Callable[[], None], part: int) -> None:
    questions: list[Callable[[], object]] = [lambda: True, lambda: True]
    questions[part] = silence
    _, alarm = watched(*questions)
    assert alarm.came.wait(120)
    assert alarm.lost == [f"no answer for {LIMIT_S} s from {('the head', 'the raylet')[part]}"]
    assert alarm.after_s >= LIMIT_S


def test_part_that_is_certainly_gone_is_reported_without_waiting() -> None:
    _, alarm = watched(lambda: True, raises(Lost("the raylet is gone")), limit_s=1000)
    assert alarm.came.wait(120)
    assert alarm.lost == ["the raylet is gone"]


def test_silence_shorter_than_the_limit_is_borne() -> None:
    pauses = iter([0.4 * LIMIT_S] * 6)
    watching, alarm = watched(lambda: time.sleep(next(pauses, 0)))
    assert not alarm.came.wait(6 * LIMIT_S)
    assert next(pauses, None) is None
    watching.stop()


def test_time_in_which_python_itself_stood_still_does_not_count() -> None:
    """A C function keeps Python's lock for longer than the limit, as a large write or Ctrl-Z would."""
    watching, alarm = watched(lambda: time.sleep(TICK_S))
    time.sleep(2 * TICK_S)
    ctypes.PyDLL(None).usleep(int(3e6 * LIMIT_S))
    assert not alarm.came.wait(LIMIT_S)
    watching.stop()


def test_no_alarm_after_the_end_though_a_question_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_runs.ray_cluster.watchdog._STOP_WITHIN_S", 0.1)
    watching, alarm = watched(never_answers)
    time.sleep(LIMIT_S / 2)
    watching.stop()
    assert not alarm.came.wait(2 * LIMIT_S)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def in_background(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True).start()


def test_server_that_hangs_gives_no_answer(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_runs.ray_cluster.watchdog.PROBE_TIMEOUT_S", 0.2)
    with pytest.raises(TimeoutError):
        check_answers(*server.getsockname())


def test_server_that_greets_is_alive(server: socket.socket) -> None:
    in_background(lambda: server.accept()[0].sendall(b"settings"))
    check_answers(*server.getsockname(), listen_s=0.1)


def test_server_that_closes_the_connection_but_accepts_another_is_alive(server: socket.socket) -> None:
    in_background(lambda: [server.accept()[0].close() for _ in range(2)])
    check_answers(*server.getsockname())


def test_server_that_ends_is_lost_at_once(server: socket.socket) -> None:
    def greet_and_end() -> None:
        connection, _ = server.accept()
        connection.sendall(b"settings")
        time.sleep(0.1)
        server.close()
        connection.close()

    in_background(greet_and_end)
    with pytest.raises(Lost, match="raylet on the driver's node is gone"):
        check_answers(*server.getsockname(), listen_s=60)


def test_message_has_the_lost_part_and_the_command_to_resume() -> None:
    said = lost_message("its head fell", "10.0.0.1:6379", GO_ON)
    assert said.startswith("absgd-tune: error: lost the Ray cluster at 10.0.0.1:6379: its head fell. ")
    assert said.endswith(f"continue with: {GO_ON}")
    assert "lost the Ray of this process: x" in lost_message("x", None, GO_ON)


@pytest.mark.parametrize("given", ["soon", "0", "4.9", "-1", "inf", "nan", ""])
def test_limit_that_is_not_a_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, given)
    with (
        pytest.raises(UserError, match=rf"number of seconds >= 5, got '{given}' \({LIMIT_VARIABLE}\)"),
        watchdog(None, GO_ON),
    ):
        pass


DRAWING = """
import sys, threading
from rich.console import Console
from rich.live import Live
from tune_runs.ray_cluster.watchdog import Question, Watchdog, _end

live = Live("a table", console=Console(), auto_refresh=False)
live.start()
watching = Watchdog([Question("its head", threading.Event().wait)], _end, limit_s=0.5, check_every_s=0.05)
watching.start()
with live._lock, live.console._lock:
    threading.Event().wait()
"""


def test_end_gives_the_cursor_back_though_the_main_thread_holds_the_screen() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", DRAWING], stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1024):
            shown += chunk
    except OSError:  # Linux: the other end was closed
        pass
    assert process.wait(timeout=120) == 1
    assert b"\x1b[?25l" in shown  # rich had hidden it
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert shown.endswith(b"\r\nno answer for 0.5 s from its head\r\n")


ENDING = """
import fcntl, os, sys
from tune_runs.ray_cluster import watchdog

if sys.argv[1] == "full":
    fcntl.fcntl(2, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while os.write(2, b"x" * 4096):
            pass
    except BlockingIOError:
        fcntl.fcntl(2, fcntl.F_SETFL, 0)
watchdog._WRITE_WITHIN_S = 0.5
watchdog._end("lost")
"""


@pytest.mark.parametrize("state", ["full", "closed"])
def test_end_returns_although_its_message_is_not_read(state: str) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", ENDING, state], stderr=writer)
    os.close(writer)
    if state == "closed":
        os.close(reader)
    assert process.wait(timeout=120) == 1
    if state == "full":
        os.close(reader)
