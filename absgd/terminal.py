"""Messages of the commands on a terminal: an error as one message, a warning as one line; and their exit statuses."""

from __future__ import annotations

import shutil
import signal
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from absgd.errors import UserError, encodable

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
MAX_LINE = 2000
"""Longest line of a message in characters."""


@contextmanager
def plain_messages(command: str) -> Iterator[None]:
    """Turn a UserError inside the block into one message and exit status 2, and Ctrl-C into exit status 130.

    An OSError, such as a full disk, becomes one line and exit status 1; each warning is one line.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_more: warn(str(message))
        try:
            yield
        except UserError as error:
            print(f"{command}: error: {printable(str(error))}", file=sys.stderr)
            raise typer.Exit(EXIT_USER_ERROR) from None
        except OSError as error:
            print(f"{command}: error: {printable(str(error))}", file=sys.stderr)
            raise typer.Exit(EXIT_FAILED) from None
        except KeyboardInterrupt:
            print(f"{command}: interrupted", file=sys.stderr)
            raise typer.Exit(EXIT_INTERRUPTED) from None


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGINT and SIGTERM raise KeyboardInterrupt inside the block, even where SIGINT was ignored at the start."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def warn(message: str) -> None:
    """Print a warning as one line on standard error."""
    print(f"warning: {printable(message)}", file=sys.stderr)


def print_words(text: str) -> None:
    """Print a text: on a terminal in lines that break between words, elsewhere on one line."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(text) + 1
    lines = textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
    print("\n".join(lines))


def printable(message: str) -> str:
    """A message that a terminal displays but does not obey: control characters escaped, long lines cut in the middle.

    >>> printable("got \\x1b[31m")
    'got \\\\x1b[31m'
    """
    return "\n".join(map(_printable_line, encodable(message).split("\n")))


def _printable_line(line: str) -> str:
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def shortened(folder: Path) -> Path:
    """A folder relative to the current one, where it is inside it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
