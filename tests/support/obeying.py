"""A probe process that follows orders."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import torch

from absgd.errors import UserError


def obeying(order: str = "") -> Callable[[str], int]:
    """Return a process that follows orders, and follows `order` before it is ready."""
    obey(order)
    return obey


def obey(order: str) -> int:
    """Follow one order: `kill`, `exit N`, `refuse TEXT`, `full SIZE`, `sleep SECONDS`, `pid`."""
    word, _, rest = order.partition(" ")
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exit":
        os._exit(int(rest))
    if word == "refuse":
        raise UserError(rest)
    if word == "full":
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {rest}")
    if word == "sleep":
        time.sleep(float(rest))
    if word == "pid":
        return os.getpid()
    return 7
