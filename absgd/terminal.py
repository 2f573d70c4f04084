"""What both commands say to a person: errors as one message, warnings as one line, exit statuses."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from absgd.errors import UserError

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
MAX_LINE = 2000
"""Characters of one line of a message."""


@contextmanager
def plain_messages(command: str) -> Iterator[None]:
    """Inside the block, a UserError becomes one message and exit status 2, and Ctrl-C exit status 130.

    A disk that fails is told in one line too, with exit status 1; warnings are one line each.
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
    """Inside the block SIGINT and SIGTERM raise KeyboardInterrupt, also where the shell had SIGINT ignored."""
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


def printable(message: str) -> str:
    """A message that a terminal shows and does not obey: control characters as escapes, long lines cut in the middle.

    >>> printable("got \\x1b[31m")
    'got \\\\x1b[31m'
    """
    return "\n".join(map(_printable_line, message.split("\n")))


def _printable_line(line: str) -> str:
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def shortened(folder: Path) -> Path:
    """A folder as the user would type it from here."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
