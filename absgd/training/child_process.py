"""Set-up of a process that another one starts to train."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

from absgd.output_streams import forgive_output_errors


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
