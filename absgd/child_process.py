"""Set-up of a process that another one starts, to train or to read images."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from absgd.output_streams import forgive_output_errors


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back in the block, in which processes are started that call `end_with_parent`.

    They would get it too, and print a traceback of what they import until then. This process gets it after the block.
    """
    _start_resource_tracker()  # in the block its start would let signals through again
    held = {signal.SIGINT, signal.SIGHUP}
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _start_resource_tracker() -> None:
    """Start the process that removes semaphores of killed processes, told not to print what it removes."""
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.pop()


def end_with_parent() -> None:
    """End this process when the one that started it ends, and leave interrupts to that one alone.

    Errors of its output do not end it either.
    """
    forgive_output_errors()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
