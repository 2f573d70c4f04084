"""Ending the other ranks, with the right reason, when a rank is lost or fails.

Ranks report errors to rank 0 through the store of the process group; rank 0 also watches their processes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import NoReturn, Protocol

import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore  # torch.distributed does not export it officially

from absgd.errors import UserError
from absgd.terminal import printable
from absgd.training.ranks.joined import JoinedRanks

CAUSE_S = 10.0
"""Time to find out which process was lost, after a collective operation has failed."""
ROOT_CAUSE_S = 3.0
"""Time in which an error that follows from another is not taken for the cause: a lost process may be noticed later."""
ABORTED_S = 20.0
"""Time for an aborted collective operation to return; after that this process ends as lost too."""
POLL_S = 0.2
"""Time between two looks at the store or the processes."""


class RanksLost(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """A process of the run is gone, or did not answer: the run may resume from its last checkpoint."""


class RankFailed(RuntimeError):  # noqa: N818 - names an event
    """Another process of the run raised an error."""


class Followers(Protocol):
    """The processes of the ranks other than 0, for the one that starts them."""

    def start(self) -> None:
        """Start them all."""

    def lost(self) -> str | None:
        """Describe a process that ended without a report; None if none did."""

    def end(self) -> None:
        """Give the processes that were started a moment to end by themselves, then end them."""


@contextmanager
def reporting_errors(store: TCPStore, rank: int) -> Iterator[None]:
    """Report an error inside the block to rank 0."""
    try:
        yield
    except Exception as error:
        with suppress(RuntimeError):  # rank 0 is gone
            kind = "user" if isinstance(error, UserError) else "lost" if _is_of_collective(error) else "failed"
            store.set(f"error-{rank}", json.dumps([kind, rank, _described(error)]))
        raise


def failure_of(store: TCPStore, size: int, followers: Followers, with_effects: bool = True) -> Exception | None:
    """Return the reason to end the run, the root cause first: a rank's own error, a lost process, a failed collective.

    Args:
        store: of the process group; ranks report errors there.
        size: number of ranks.
        followers: the processes of the ranks other than 0.
        with_effects: whether a failed collective operation, the effect of another error, is a reason too.

    Returns:
        The error to raise; None while all ranks are well.
    """
    lost = followers.lost()  # before the reports are read: a process that fails reports first, then ends
    names = [f"error-{rank}" for rank in range(1, size)]
    reports = [json.loads(store.get(name)) for name in names if store.check([name])]
    for kind, rank, message in reports:
        if kind == "user":
            return UserError(message)
        if kind == "failed":
            return RankFailed(f"rank {rank}: {message}")
    if lost:
        return RanksLost(lost)
    return RanksLost(f"rank {reports[0][1]}: {reports[0][2]}") if reports and with_effects else None


@contextmanager
def raising_cause(store: TCPStore, size: int, followers: Followers) -> Iterator[None]:
    """Replace the error of a collective operation inside the block by the failure of the rank that caused it."""
    try:
        yield
    except RuntimeError as error:
        if not _is_of_collective(error):
            raise
        start = time.monotonic()
        while (waited := time.monotonic() - start) < CAUSE_S:
            if cause := failure_of(store, size, followers, with_effects=waited >= ROOT_CAUSE_S):
                raise cause from None
            time.sleep(POLL_S)
        raise RanksLost(f"the other processes did not answer: {_described(error)}") from None


def join_watched(
    join: Callable[[], None], leave: Callable[[], None], store: TCPStore, size: int, followers: Followers
) -> None:
    """Form the process group in a thread, so that a lost process or a signal ends the wait for it.

    gloo connects a rank to one other after another; if one ends meanwhile, the others wait until gloo's timeout.

    Args:
        join: forms the group. It must not use `store`, which torch would lock while it waits.
        leave: destroys the group if it forms after this function has raised.
        store: where ranks report errors.
        size: number of ranks.
        followers: the processes of the ranks other than 0.

    Raises:
        RanksLost, RankFailed, UserError: if a rank reports an error or is lost before the group is formed.
        Exception: any that `join` raises.
    """
    joined: Future[None] = Future()

    def run(_served: TCPStore) -> None:
        try:
            join()
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            joined.set_exception(error)
        else:
            joined.set_result(None)

    # The thread holds the store: if it closed while Python ends, the wait would fail, and the thread abort the process.
    threading.Thread(target=run, args=(store,), daemon=True, name="join process group").start()
    try:
        while not wait([joined], POLL_S).done:
            if failure := failure_of(store, size, followers):
                time.sleep(POLL_S * 5)  # the cause may become known after its effect
                raise failure_of(store, size, followers) or failure
    except BaseException:
        joined.add_done_callback(lambda ended: None if ended.exception() else leave())
        raise
    joined.result()


@contextmanager
def watching(store: TCPStore, size: int, followers: Followers, ranks: JoinedRanks) -> Iterator[None]:
    """While the block runs, free it from a collective operation that waits for a lost process.

    gloo fails by itself when a connection ends; NCCL would wait for its whole timeout.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(1.0):
            failure = failure_of(store, size, followers)
            if failure is None:
                continue
            if is_over.wait(POLL_S * 5):
                return
            ranks.is_broken = True
            abort_collectives()
            if not is_over.wait(ABORTED_S):
                _end(failure)
            return

    thread = threading.Thread(target=watch, daemon=True, name="watch over ranks")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _end(failure: Exception) -> NoReturn:
    """Say why, and end this process: the one that started it sees that it is lost, as it sees of the other."""
    with suppress(OSError, ValueError):  # nobody reads it
        print(f"error: {printable(str(failure))}", file=sys.stderr, flush=True)
    os._exit(1)


def abort_collectives() -> None:
    """Free every thread of this process that waits in a collective operation.

    In torch 2.6 gloo has no way to do so: there `watching` ends the process after ABORTED_S.
    """
    with suppress(RuntimeError, ValueError):
        group = dist.distributed_c10d._get_default_group()
        if hasattr(group, "abort"):
            group.abort()
        elif dist.get_backend() == "nccl":
            dist.distributed_c10d._abort_process_group()


def _is_of_collective(error: BaseException) -> bool:
    """Whether an error says that another process did not answer; gloo raises plain RuntimeErrors."""
    return isinstance(error, dist.DistError) or (
        type(error) is RuntimeError and any(sign in str(error) for sign in ("gloo", "Gloo", "NCCL", "abort", "store"))
    )


def _described(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{name}: {error}".splitlines()[0]
