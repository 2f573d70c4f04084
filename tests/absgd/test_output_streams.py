"""Output that fails, is not read, or lacks a sign never raises."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from absgd import output_streams
from absgd.output_streams import ForgivingFile, forgive_output_errors, impatient_output, output_failure


class Pipe(NamedTuple):
    reader: int
    writer: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    both = Pipe(*os.pipe())
    yield both
    for end in both:
        try:
            os.close(end)
        except OSError:
            continue


def test_closed_pipe_ends_the_output_and_says_nothing(pipe: Pipe, capfd: pytest.CaptureFixture[str]) -> None:
    os.close(pipe.reader)
    file = ForgivingFile(pipe.writer, "standard output")
    assert [file.write(b"one"), file.write(b"two")] == [3, 3]
    assert file.failure is not None
    assert file.failure.errno == errno.EPIPE
    assert os.write(pipe.writer, b"of a library") == 12, "the descriptor leads to the null device"
    assert capfd.readouterr() == ("", "")


def test_full_disk_is_named_once(capfd: pytest.CaptureFixture[str]) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    file = ForgivingFile(descriptor, "standard output")
    assert [file.write(b"one"), file.write(b"two")] == [3, 3]
    os.close(descriptor)
    assert capfd.readouterr().err == (
        "warning: cannot write to standard output: No space left on device; nothing more is shown there\n"
    )


@pytest.mark.parametrize("is_blocking", [True, False])
def test_slow_reader_gets_everything(pipe: Pipe, is_blocking: bool) -> None:
    os.set_blocking(pipe.writer, is_blocking)  # a shell or another program may have made it non-blocking
    text = os.urandom(300_000)
    read = bytearray()

    def reading() -> None:
        while len(read) < len(text):
            read.extend(os.read(pipe.reader, 1000))

    thread = threading.Thread(target=reading)
    thread.start()
    assert ForgivingFile(pipe.writer, "standard output").write(text) == len(text)
    thread.join(60)
    assert bytes(read) == text


def test_impatient_output_is_dropped_until_it_is_read_again(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_streams, "PATIENCE_S", 0.01)
    file = ForgivingFile(pipe.writer, "standard output")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(file), line_buffering=True))
    with impatient_output():
        for _ in range(100):
            print("x" * 4000)
        os.set_blocking(pipe.reader, False)
        while True:
            try:
                os.read(pipe.reader, 100_000)
            except BlockingIOError:
                break
        print("read again")
        assert os.read(pipe.reader, 100).endswith(b"read again\n")
    assert not file.is_impatient
    assert file.failure is None


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "71.2 +- 0.4 - caf? >= \\xe9"),
        ("latin-1", "71.2 ± 0.4 - café >= \\xe9"),
        ("utf-8", "71.2 ± 0.4 – café ≥ \\xe9"),
    ],
)
def test_signs_that_the_encoding_lacks_are_replaced(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    monkeypatch.setattr(sys, "stdout", open(pipe.writer, "w", encoding=encoding, closefd=False))  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    forgive_output_errors()
    print("71.2 ± 0.4 – café ≥ \udce9", flush=True)
    assert os.read(pipe.reader, 100).decode(encoding) == f"{shown}\n"
    once = sys.stdout
    forgive_output_errors()
    assert sys.stdout is once


def test_stream_that_is_no_file_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    of_a_notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", of_a_notebook)
    monkeypatch.setattr(sys, "stderr", of_a_notebook)
    forgive_output_errors()
    assert sys.stdout is of_a_notebook
    assert output_failure() is None


def test_absent_stream_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python does for a closed descriptor
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    forgive_output_errors()
    assert not sys.stdout.isatty()
