"""How the processes of one run find each other, and what becomes of all of them when one is lost or fails.

Rank 0 leads: it listens on one address, starts the others or has them started, and ends them. What starts processes,
the machine itself or Ray, is not known here.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, TCPStore  # torch.distributed hands them on without saying so

from absgd.datasets.shares import Share
from absgd.errors import UserError
from absgd.training.ranks import JoinedRanks, Ranks

START_S = 300.0
"""In which every process must have joined: Ray starts one in seconds, and importing torch takes some more."""
TIMEOUT_S = 600.0
"""In which the others must reach what one waits for inside an epoch; one that hangs for so long is lost."""
CAUSE_S = 10.0
"""In which it turns out which process was lost, where a collective operation has failed."""
ABORTED_S = 20.0
"""In which a collective operation ends whose partner was lost; else this process ends as lost too."""
_POLL_S = 0.2


class RanksLost(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """A process of the run is gone, or did not answer: the run may go on from its last checkpoint."""


class RankFailed(RuntimeError):  # noqa: N818 - names an event
    """Another process of the run raised an error."""


class Rendezvous(NamedTuple):
    """Where processes meet."""

    host: str
    """Address of rank 0."""
    port: int
    size: int
    """Processes in all."""


class Followers(Protocol):
    """The processes of the other ranks, as whoever started them sees them."""

    def lost(self) -> str | None:
        """What became of one that ended without a word; None: none did."""

    def end(self) -> None:
        """Let them end by themselves for a moment, then end them."""


@contextmanager
def leading(
    size: int,
    host: str,
    start: Callable[[Rendezvous], Followers],
    backend: str,
    device: torch.device | None = None,
) -> Iterator[Ranks]:
    """Rank 0 of so many, with the others started; when the block ends, however it does, they end too.

    Args:
        size: processes in all, at least two.
        host: address of this machine, the only one that is listened on.
        start: starts the others.
        backend: of torch.distributed, `gloo` or `nccl`.
        device: where this process trains; None: where the run's config says.

    Raises:
        RanksLost: if a process died, hung, or did not come.
        RankFailed: if another process raised an error that is no user's.
        UserError: the other process's.
    """
    store = _listening(host, size)
    followers = start(Rendezvous(host, store.port, size))
    try:
        with _cause_named(store, size, followers):
            _wait_for_all(store, size, followers)
            with _group(store, Share(0, size), host, backend, device) as ranks, _watch(store, size, followers, ranks):
                try:
                    yield ranks
                except BaseException:
                    if backend == "nccl":  # leaving the group could wait for what they still have to send
                        followers.end()
                    raise
                finally:
                    ranks.stop()
    finally:
        followers.end()


@contextmanager
def following(rendezvous: Rendezvous, rank: int, backend: str, device: torch.device | None = None) -> Iterator[Ranks]:
    """Another rank; an error inside the block is told to rank 0.

    Args:
        rendezvous: what `leading` gave to `start`.
        rank: from 1.
        backend: as rank 0's.
        device: where this process trains; None: where the run's config says.
    """
    host, port, size = rendezvous
    store = TCPStore(host, port, size, is_master=False, timeout=timedelta(seconds=START_S))
    with _telling(store, rank):
        store.set(f"here-{rank}", "")
        # Told inside the group too: leaving it could wait for rank 0, which waits for this one.
        with _group(store, Share(rank, size), host, backend, device) as ranks, _telling(store, rank):
            yield ranks


@contextmanager
def _telling(store: TCPStore, rank: int) -> Iterator[None]:
    """Tell rank 0 of an error inside the block."""
    try:
        yield
    except Exception as error:
        with suppress(RuntimeError):  # rank 0 is gone
            kind = "user" if isinstance(error, UserError) else "lost" if _is_of_collective(error) else "failed"
            store.set(f"error-{rank}", json.dumps([kind, rank, _described(error)]))
        raise


def _listening(host: str, size: int) -> TCPStore:
    """A store on a free port of one address alone; torch by itself would listen on all."""
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = listener.getsockname()[1]
    return TCPStore(
        host,
        port,
        size,
        is_master=True,
        timeout=timedelta(seconds=START_S),
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )


def _wait_for_all(store: TCPStore, size: int, followers: Followers) -> None:
    deadline = time.monotonic() + START_S
    while not store.check([f"here-{rank}" for rank in range(1, size)]):
        if error := _failure(store, size, followers):
            raise error
        if time.monotonic() > deadline:
            raise RanksLost(f"expected {size} processes within {START_S:g} s")
        time.sleep(_POLL_S)


@contextmanager
def _group(
    store: TCPStore, share: Share, host: str, backend: str, device: torch.device | None
) -> Iterator[JoinedRanks]:
    if host.startswith("127."):  # else both would listen on the machine's own address
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
    if backend == "nccl":
        torch.cuda.set_device(device if device is not None else 0)
    dist.init_process_group(
        backend,
        store=PrefixStore("group", store),
        rank=share.rank,
        world_size=share.size,
        timeout=timedelta(seconds=TIMEOUT_S),
    )
    try:
        if backend == "nccl":
            names: list[str] = [""] * share.size
            dist.all_gather_object(names, torch.cuda.get_device_name())
            refuse_mixed(names)
        yield JoinedRanks(share, store, device)
    except BaseException:
        if backend == "nccl":
            _abort()
        raise
    finally:
        with suppress(RuntimeError, ValueError):  # it was aborted
            dist.destroy_process_group()


def refuse_mixed(gpus: Sequence[str]) -> None:
    """Refuse a run over GPUs of several kinds: each rank draws order and augmentation on its own, and these differ.

    Args:
        gpus: name of the GPU of each rank.

    Raises:
        UserError: naming the kinds.
    """
    if len(set(gpus)) > 1:
        kinds = " and ".join(sorted(set(gpus)))
        raise UserError(f"expected GPUs of one kind for the processes of a run, got {kinds} (device.ranks)")


def _abort() -> None:
    """Free whoever waits in a collective operation."""
    with suppress(RuntimeError):
        dist.distributed_c10d._get_default_group().abort()


@contextmanager
def _cause_named(store: TCPStore, size: int, followers: Followers) -> Iterator[None]:
    """Where a collective operation fails in the block, raise what became of the process that it failed by."""
    try:
        yield
    except RuntimeError as error:
        if not _is_of_collective(error):
            raise
        deadline = time.monotonic() + CAUSE_S
        while time.monotonic() < deadline:
            if cause := _failure(store, size, followers):
                raise cause from None
            time.sleep(_POLL_S)
        raise RanksLost(f"the other processes did not answer: {_described(error)}") from None


@contextmanager
def _watch(store: TCPStore, size: int, followers: Followers, ranks: JoinedRanks) -> Iterator[None]:
    """While the block runs, free it from a collective operation that waits for a process that is lost.

    gloo fails by itself when a connection ends; NCCL would wait for its whole timeout.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(1.0):
            if _failure(store, size, followers) is None:
                continue
            if is_over.wait(_POLL_S * 5):
                return
            ranks.is_broken = True
            _abort()
            if not is_over.wait(ABORTED_S):
                os._exit(1)  # whoever started this process sees that it is lost, as the other is
            return

    thread = threading.Thread(target=watch, daemon=True, name="watch over ranks")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _failure(store: TCPStore, size: int, followers: Followers) -> Exception | None:
    """What ended the run: first an error of a process's own, then one that is gone, then what that did to others."""
    names = [f"error-{rank}" for rank in range(1, size)]
    told = [json.loads(store.get(name)) for name in names if store.check([name])]
    for kind, rank, message in told:
        if kind == "user":
            return UserError(message)
        if kind == "failed":
            return RankFailed(f"rank {rank}: {message}")
    if lost := followers.lost():
        return RanksLost(lost)
    return RanksLost(f"rank {told[0][1]}: {told[0][2]}") if told else None


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
