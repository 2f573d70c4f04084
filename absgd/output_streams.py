"""Standard output and standard error that never raise: what cannot be shown is lost, not what is computed.

A reader that closed its pipe, a full disk, a terminal that is gone, a character that the encoding lacks: none of them
may end a run or decide what is recorded about it.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from absgd.errors import encodable

PATIENCE_S = 5.0
"""Time for which an impatient file waits for a reader that has stopped reading, such as a terminal after Ctrl-S."""
_PIECE = 4096
"""Bytes that a pipe that polls as writable takes without blocking (PIPE_BUF on Linux)."""
_SIGNS = str.maketrans(
    {"±": "+-", "–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "·": "-", "≥": ">=", "≤": "<=", "“": '"', "”": '"'}
)
_ERRORS = "absgd-nearest-sign"
"""Name of the codec error handler that writes the nearest ASCII sign for one that the encoding lacks."""


class ForgivingFile(io.FileIO):
    """A raw output file whose `write` never raises; after the first failure everything written is dropped.

    The file descriptor then leads to the null device, so that other writers to it, in this process or one that it
    starts, do not fail either.

    Args:
        descriptor: an open file descriptor; it stays open when the file is closed.
        name: of the stream, for a message about its failure.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._name = name
        self.failure: OSError | None = None
        """The error of the first write that failed."""
        self.is_impatient = False
        """Whether output is dropped while nobody reads it; otherwise a write waits for its reader."""
        self._is_stuck = False

    def write(self, data: object) -> int:
        """Write, or drop, everything."""
        view = memoryview(cast(bytes, data)).cast("B")
        written = 0
        while self.failure is None and written < len(view) and self._is_ready():
            try:
                written += super().write(view[written : written + _PIECE]) or 0
            except OSError as error:
                self._fail(error)
        return len(view)

    def _is_ready(self) -> bool:
        """Wait until the file takes output; False where an impatient file has waited long enough."""
        patience_s = None if not self.is_impatient else 0.0 if self._is_stuck else PATIENCE_S
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        self._is_stuck = not poll.poll(None if patience_s is None else patience_s * 1000)
        return not self._is_stuck

    def _fail(self, error: OSError) -> None:
        self.failure = error
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
        if not is_closed_pipe(error) and self.fileno() != 2:
            message = f"warning: cannot write to {self._name}: {error.strerror or error}; nothing more is shown there\n"
            with suppress(OSError):
                os.write(2, message.encode())


def is_closed_pipe(error: OSError) -> bool:
    """Whether a write failed because its reader wanted no more, as `head` does."""
    return error.errno in (errno.EPIPE, errno.ECONNRESET)


def forgive_output_errors() -> None:
    """Replace standard output and error by streams that never raise; do nothing where that is done already.

    A stream that is no file, such as that of a notebook, stays as it is. Descriptors that were closed when the process
    started are opened on the null device; otherwise the next file to be opened would get one of their numbers, and with
    it all that libraries print.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    codecs.register_error(_ERRORS, _nearest_sign)
    sys.stdout = _forgiving(sys.stdout, 1, "standard output")
    sys.stderr = _forgiving(sys.stderr, 2, "standard error")


def prepare_process() -> None:
    """Prepare a process of a command, or a worker of Ray.

    Errors of its output do not end it, and the processes that it starts import nothing from its current folder.
    """
    forgive_output_errors()
    os.environ["PYTHONSAFEPATH"] = "1"  # multiprocessing calls `python -c`, which would import from there


@contextmanager
def impatient_output() -> Iterator[None]:
    """Drop output inside the block, rather than wait, while its reader does not read: see `ForgivingFile`."""
    files = [file for stream in (sys.stdout, sys.stderr) if (file := _file_of(stream)) is not None]
    for file in files:
        file.is_impatient = True
    try:
        yield
    finally:
        for file in files:
            file.is_impatient = False


def output_failure() -> OSError | None:
    """Return the error for which standard output is incomplete; None where it is complete, or its reader closed it."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    file = _file_of(sys.stdout)
    failure = file.failure if file is not None else None
    return None if failure is None or is_closed_pipe(failure) else failure


def is_error_output_lost() -> bool:
    """Whether standard error no longer reaches anyone."""
    file = _file_of(sys.stderr)
    return file is not None and file.failure is not None


def _forgiving(stream: TextIO | None, descriptor: int, name: str) -> TextIO:
    """Return a stream to the same file that never raises."""
    encoding, is_line_buffered = "utf-8", True
    if stream is not None:
        try:
            descriptor = stream.fileno()
        except (OSError, ValueError, AttributeError):
            return stream
        if _file_of(stream) is not None:
            return stream
        with suppress(OSError):
            stream.flush()
        encoding = stream.encoding or encoding
        is_line_buffered = descriptor == 2 or getattr(stream, "line_buffering", True)
    raw = io.BufferedWriter(ForgivingFile(descriptor, name))
    return io.TextIOWrapper(raw, encoding=encoding, errors=_ERRORS, line_buffering=is_line_buffered)


def _file_of(stream: object) -> ForgivingFile | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, ForgivingFile) else None


def _nearest_sign(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace characters that an encoding lacks: typographic signs by ASCII ones, others by question marks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = encodable(error.object[error.start : error.end]).translate(_SIGNS)
    return "".join(char if char.isascii() else "?" for char in lacking), error.end
