"""The processes that read batches of images: the room that they need in shared memory, and a bounded wait for them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import DataLoader

from absgd.child_process import end_with_parent
from absgd.errors import UserError

SHARED_MEMORY = Path("/dev/shm")
"""Where the processes put batches for the process that trains; a file system in memory with a size of its own."""
AHEAD = 2
"""Batches that each process reads ahead: torch's default."""
ASK_EVERY_S = 5.0
"""Time between two looks at the processes; a stopped process (Ctrl-Z) counts one of them at most."""
LIMIT_S = 1800.0
"""Time without a batch after which the processes count as stuck, as at a network file system that does not answer."""
_MIB = 2**20
_FULL = ("No space left on device", "Bus error", "unable to write to file </torch")
"""Signs of a shared memory that is full in the errors of torch."""


class ReadAhead(NamedTuple):
    """The batches that the processes of one pass over the images hold at once."""

    workers: int
    """Processes that read; 0: the training process reads itself."""
    num_batches: int
    """Batches of the pass."""
    batch_bytes: int
    """Size of the largest batch."""

    @property
    def needed_bytes(self) -> int:
        """Size of the batches that wait in shared memory at once."""
        return min(AHEAD * self.workers, self.num_batches) * self.batch_bytes


def check_shared_memory(ahead: ReadAhead) -> None:
    """Refuse batches that shared memory cannot hold, before a process is started that would wait for room for ever.

    Raises:
        UserError: naming the folder, `data.workers` and the size needed.
    """
    free = _free_bytes()
    if free is not None and free < ahead.needed_bytes:
        raise UserError(_too_small(ahead, free))


def read_batches(loader: DataLoader[Any], ahead: ReadAhead) -> Iterator[Any]:
    """Yield the batches of a loader; if it has processes, its `timeout` must be `ASK_EVERY_S`.

    Raises:
        UserError: if shared memory is full, a process ended, or none gave a batch for LIMIT_S seconds.
    """
    batches, silent_s = iter(loader), 0.0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "timed out" in str(error):
                silent_s += ASK_EVERY_S
                if silent_s < LIMIT_S:
                    continue
            raise _as_user_error(error, ahead) from None
        silent_s = 0.0
        yield batch


def end_with_training(_worker: int) -> None:
    """Let a process that reads ignore Ctrl-C, and end with the process that trains, even if that one is killed.

    By itself torch would let it run on then: the server that forks these processes lives as long as one of them does.
    """
    end_with_parent()


def _as_user_error(error: RuntimeError, ahead: ReadAhead) -> Exception:
    """Return the user's error for one of torch's; the same error where it says nothing about the processes."""
    text, free = str(error), _free_bytes()
    if any(sign in text for sign in _FULL):
        return UserError(_too_small(ahead, free or 0))
    if "timed out" in text:
        return UserError(
            f"no batch for {LIMIT_S:g} s from the processes that read images: does the file system of the images still "
            "answer? (data.workers)"
        )
    if "exited unexpectedly" in text or "killed by signal" in text:
        room = "" if free is None else f", or {SHARED_MEMORY} was full ({_mib(ahead.needed_bytes)} needed)"
        return UserError(
            f"a process that reads images ended: it was killed, the machine ran out of memory{room}: "
            "lower `data.workers` or `batch_size` (data.workers)"
        )
    return error


def _too_small(ahead: ReadAhead, free: int) -> str:
    return (
        f"expected at least {_mib(ahead.needed_bytes)} free in {SHARED_MEMORY} for the batches of {ahead.workers} "
        f"processes that read images, got {_mib(free, math.floor)}: enlarge it (docker run --shm-size=...), or lower "
        "`data.workers` (0 needs none) or `batch_size` (data.workers)"
    )


def _mib(size: int, rounded: Callable[[float], int] = math.ceil) -> str:
    return f"{rounded(10 * size / _MIB) / 10:,g} MiB"


def _free_bytes() -> int | None:
    """Return the free bytes of shared memory; None where the system has no such folder."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
