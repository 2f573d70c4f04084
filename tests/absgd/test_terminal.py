"""Signals that end a command, its last words, and what only shows."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer

from absgd.output_streams import ForgivingFile
from absgd.terminal import (
    ended_if_deaf,
    ending_signals,
    interruptible,
    only_shows,
    print_product,
    raise_swallowed_interrupt,
    run_command,
    say_interrupted,
    shortened,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def same_handlers() -> Iterator[None]:
    earlier = [signal.getsignal(one) for one in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, earlier, strict=True):
        signal.signal(number, handler)


def on(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(ForgivingFile(descriptor, "standard output")), line_buffering=True)


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_interrupt(number: signal.Signals) -> None:
    earlier = [signal.getsignal(one) for one in SIGNALS]
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)
    assert [signal.getsignal(one) for one in SIGNALS] == earlier


def test_interrupt_that_a_library_swallows_is_raised_again() -> None:
    with interruptible():
        raise_swallowed_interrupt()
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_swallowed_interrupt()
    with interruptible():
        raise_swallowed_interrupt()


SIGNALLED = """
import os, signal, sys, time
from absgd import terminal

terminal.DEAF_S = 1.0
with terminal.interruptible(), terminal.ended_if_deaf():
    if sys.argv[1] == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, terminal.ending_signals())  # of this thread: nothing ends its wait
        os.write(1, bytes(2**20))  # for a reader that reads no more
    try:
        print(flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(2 * terminal.DEAF_S)
        sys.exit(7)
"""


@pytest.mark.parametrize(("state", "status", "words"), [("deaf", 130, "ended by force"), ("listening", 7, "")])
@pytest.mark.parametrize("number", SIGNALS)
def test_signal_that_is_not_handled_ends_the_process(
    number: signal.Signals, state: str, status: int, words: str
) -> None:
    command = [sys.executable, "-c", SIGNALLED, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.send_signal(number)
        process.wait(60)
        errors = process.stderr.read().decode()
    assert process.returncode == status, errors
    assert words in errors


FORKED = """
import os, signal, time
from absgd import terminal

terminal.DEAF_S = 0.5
with terminal.interruptible(), terminal.ended_if_deaf():
    started, start = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(start, b".")
            time.sleep(60)
        finally:
            os._exit(0)
    os.read(started, 1)
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    signal.signal(signal.SIGTERM, lambda *_: None)  # of a library
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(4 * terminal.DEAF_S)
"""


def test_signals_of_a_forked_process_and_of_a_librarys_handler_end_nothing() -> None:
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, start_new_session=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_watch_for_signals_ends_with_its_block() -> None:
    before = threading.active_count()
    with ended_if_deaf():
        assert threading.active_count() == before + 1
    deadline = time.monotonic() + 30
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_second_hangup_of_a_closed_terminal_disturbs_no_one() -> None:
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)


def test_hangup_that_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert ending_signals() == (signal.SIGINT, signal.SIGTERM)
    with interruptible():
        os.kill(os.getpid(), signal.SIGHUP)


def test_product_that_a_full_disk_cut_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", on(descriptor))
    with pytest.raises(OSError, match="No space left"):
        print_product("a table\n")
    os.close(descriptor)


def test_product_of_which_the_reader_wanted_no_more_is_none(monkeypatch: pytest.MonkeyPatch, closed_pipe: int) -> None:
    monkeypatch.setattr(sys, "stdout", on(closed_pipe))
    print_product("a table\n")


def test_last_words_are_kept_in_a_file_where_standard_error_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, closed_pipe: int, capsys: pytest.CaptureFixture[str]
) -> None:
    say_interrupted("continue with: x", tmp_path / "shown.txt")
    assert capsys.readouterr().err == "continue with: x\n"
    assert not (tmp_path / "shown.txt").exists()
    monkeypatch.setattr(sys, "stderr", on(closed_pipe))
    say_interrupted("continue with: café \udce9", tmp_path / "kept.txt")
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == "continue with: café \\xe9\n"


def test_deleted_current_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    assert shortened(tmp_path / "run") == tmp_path / "run"
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert shortened(tmp_path / "gone/run") == tmp_path / "gone/run", "a search that runs there goes on"
    monkeypatch.setattr("absgd.terminal.prepare_process", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        run_command(typer.Typer())
    assert "the current folder no longer exists" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert shortened(tmp_path / "run") == Path("run")


def test_what_only_shows_cannot_fail(capsys: pytest.CaptureFixture[str]) -> None:
    with only_shows("the table"):
        raise BrokenPipeError(32, "Broken pipe")
    assert capsys.readouterr().err == "warning: the table could not be shown: BrokenPipeError: [Errno 32] Broken pipe\n"
    with pytest.raises(KeyboardInterrupt), only_shows("the table"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("imported", ["", "triton"])
def test_garbage_is_left_when_a_command_exits_unless_triton_would_call_it_leaks(imported: str) -> None:
    script = f"""
import atexit, gc, sys, typer
from absgd.terminal import run_command
before = gc.get_freeze_count()
atexit.register(lambda: print("left" if gc.get_freeze_count() > before else "collected"))
app = typer.Typer()
app.command()(lambda: sys.modules.update({{name: sys for name in {imported!r}.split()}}))
run_command(app)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ("collected\n" if imported else "left\n")
