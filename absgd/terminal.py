"""Messages of the commands on a terminal: an error as one message, a warning as one line; and their exit statuses."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import shutil
import signal
import socket
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from absgd.errors import UserError, encodable
from absgd.output_streams import is_error_output_lost, output_failure, prepare_process

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
SignalHandler = Callable[[int, FrameType | None], object]
DEAF_S = 20.0
"""Time to handle a signal; a training step may take seconds in which none is handled."""
MAX_LINE = 2000
"""Longest line of a message in characters."""


def _say_version(is_asked: bool) -> None:
    if is_asked:
        try:
            number = metadata.version("absgd-tune")
        except metadata.PackageNotFoundError:  # run from its sources
            number = "unknown, since it is not installed"
        print(f"absgd-tune {number}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version of absgd-tune.")
]


def starting_with(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names that complete a word; none for a path, which the shell completes itself.

    >>> starting_with("cif", ["cifar10", "cifar100", "quickstart"])
    ['cifar10', 'cifar100']
    """
    return [name for name in names if name.startswith(incomplete)]


def run_command(app: typer.Typer) -> None:
    """Run a command to its end: no failure of its output ends it, and its processes import the same files as it does.

    When it exits, the interpreter does not search torch and Ray for garbage, which saves a second.
    """
    prepare_process()
    atexit.register(_leave_garbage)
    try:
        Path.cwd()
    except OSError:
        print("error: the current folder no longer exists, or may not be read: change to another", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    app()


def _leave_garbage() -> None:
    """Let the interpreter exit without a search for garbage, unless triton is imported, which prints it as leaks."""
    if "triton" not in sys.modules:
        gc.freeze()


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
    """Make the signals of `ending_signals` raise KeyboardInterrupt inside the block."""
    _interrupts.clear()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _interrupts.append(number)  # takes no lock: a second signal may come at any moment
        if number == signal.SIGHUP:  # a terminal that closes may send it twice, by its kernel and by its shell
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise KeyboardInterrupt

    with handling(interrupt):
        yield


_interrupts: list[int] = []


def raise_swallowed_interrupt() -> None:
    """Raise KeyboardInterrupt again if a library swallowed it: torch does so at some places as it is imported."""
    if _interrupts:
        raise KeyboardInterrupt


@contextmanager
def ended_if_deaf() -> Iterator[None]:
    """End this process if, inside the block, a signal of `interruptible` is not handled within DEAF_S seconds.

    Python handles signals in its main thread only, and not while a library waits there, such as torch for another
    process. Without effect in another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _forget_wakeups_in_forks()
    received, receive = socket.socketpair()
    receive.setblocking(False)
    is_over = threading.Event()
    earlier = signal.set_wakeup_fd(receive.fileno())
    handlers = {number: signal.getsignal(number) for number in ending_signals()}
    threading.Thread(
        target=_end_if_deaf, args=(received, is_over, handlers), daemon=True, name="watch for signals"
    ).start()
    try:
        yield
    finally:
        is_over.set()
        signal.set_wakeup_fd(earlier)
        receive.close()  # ends the thread


@functools.cache
def _forget_wakeups_in_forks() -> None:
    """Let a forked process, such as one of a `multiprocessing.Pool`, not write its signals into this one's socket."""
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


def _end_if_deaf(received: socket.socket, is_over: threading.Event, handlers: Mapping[int, object]) -> None:
    """Read the number of each signal that comes until the socket is closed; let be one that has another handler."""
    with received:
        while number := received.recv(1):
            is_ours = number[0] in handlers and signal.getsignal(number[0]) is handlers[number[0]]
            if is_ours and not is_over.wait(DEAF_S) and not _interrupts:
                print(f"interrupted: ended by force, {DEAF_S:g} s after the signal", file=sys.stderr, flush=True)
                os._exit(EXIT_INTERRUPTED)


@contextmanager
def handling(handler: SignalHandler) -> Iterator[None]:
    """Give the signals of `ending_signals` a handler inside the block; only the main thread can."""
    is_main = threading.current_thread() is threading.main_thread()
    earlier = {number: signal.signal(number, handler) for number in ending_signals()} if is_main else {}
    try:
        yield
    finally:
        for number, one in earlier.items():
            signal.signal(number, one)


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a command: SIGINT, even if it was ignored at the start, SIGTERM and SIGHUP.

    A closed terminal sends SIGHUP; where that is ignored, as after `nohup`, it is left out.
    """
    ending = (signal.SIGINT, signal.SIGTERM)
    return ending if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*ending, signal.SIGHUP)


def warn(message: str) -> None:
    """Print a warning as one line on standard error."""
    print(f"warning: {printable(message)}", file=sys.stderr)


def print_words(text: str) -> None:
    """Print a text: on a terminal in lines that break between words, elsewhere on one line."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(text) + 1
    lines = textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
    print("\n".join(lines))


def print_product(text: str) -> None:
    """Print the result that a command was called for to standard output, and nothing else.

    Raises:
        OSError: if it could not be written whole, unless the reader of a pipe wanted no more.
    """
    sys.stdout.write(text)
    if (failure := output_failure()) is not None:
        raise failure


def say_interrupted(message: str, note: Path) -> None:
    """Print the last message of an interrupted command; where standard error is gone, keep it in the file `note`."""
    message = encodable(message)
    print(message, file=sys.stderr, flush=True)
    if is_error_output_lost():
        with suppress(OSError):
            note.write_text(f"{message}\n", encoding="utf-8")


@contextmanager
def only_shows(what: str) -> Iterator[None]:
    """Turn any error inside the block into a warning: the block only shows what is computed and recorded elsewhere."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the results are not affected
        with suppress(OSError, ValueError):  # of a stream that does not forgive
            warn(f"{what} could not be shown: {type(error).__name__}: {error}")


def printable(message: str) -> str:
    """Return a message that a terminal displays but does not obey.

    Control characters are escaped, long lines cut in the middle.

    >>> printable("got \\x1b[31m")
    'got \\\\x1b[31m'
    """
    return "\n".join(map(_printable_line, encodable(message).split("\n")))


def _printable_line(line: str) -> str:
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def shortened(folder: Path) -> Path:
    """Return a folder relative to the current one if it is inside it; else the folder as it is."""
    with suppress(OSError, ValueError):
        return folder.relative_to(Path.cwd())
    return folder
