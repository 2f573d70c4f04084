"""The process group of one run: how its processes join and end together.

Rank 0 leads: it listens on one address, has the other ranks started, and ends them. How processes are started, by
`multiprocessing` or by Ray, is the caller's business.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, TCPStore  # torch.distributed does not export them officially

from absgd.datasets.batch_shares import Share
from absgd.errors import UserError
from absgd.training.ranks.alone import Ranks
from absgd.training.ranks.joined import JoinedRanks, is_told_to_go_on
from absgd.training.ranks.rank_failures import (
    POLL_S,
    Followers,
    RanksLost,
    abort_collectives,
    failure_of,
    join_watched,
    raising_cause,
    reporting_errors,
    watching,
)

Loaded = TypeVar("Loaded")

START_S = 300.0
"""Time for every process to start: Ray starts one in seconds, and importing torch takes some more."""
TIMEOUT_S = 600.0
"""Time for the other ranks to reach a collective operation that one waits in; a rank that hangs longer is lost."""


class Rendezvous(NamedTuple):
    """The address at which the processes of a run meet."""

    host: str
    """Address of rank 0."""
    port: int
    size: int
    """Number of processes."""


@contextmanager
def leading(
    size: int,
    host: str,
    followers_at: Callable[[Rendezvous], Followers],
    load: Callable[[], Loaded],
    backend: str,
    device: torch.device | None = None,
) -> Iterator[tuple[Ranks, Loaded]]:
    """Rank 0 of `size` ranks, with the others started; when the block ends, however it does, they end too.

    Every rank loads its images before any joins the process group. A rank that waits for others in the group handles no
    signal, and learns of another's error late.

    Args:
        size: number of processes, at least two.
        host: address of this machine, the only one that is listened on.
        followers_at: makes the other ranks, which are started here.
        load: reads the images of this rank, while the other ranks start.
        backend: of torch.distributed, `gloo` or `nccl`.
        device: device on which this process trains; None: the one that the run's config asks for.

    Returns:
        Rank 0, and what `load` returned.

    Raises:
        RanksLost: if a process died, hung, or did not join.
        RankFailed: if another process raised an error other than a UserError.
        UserError: if another process raised one.
        Exception: any that `load` raises.
    """
    store = _listening(host, size)
    rendezvous = Rendezvous(host, store.port, size)
    followers = followers_at(rendezvous)

    def join() -> None:
        # With a client of its own: while torch waits for the others, it holds the client's lock.
        _join_group(_client(rendezvous), Share(0, size), host, backend)

    try:
        followers.start()
        loaded = load()
        with raising_cause(store, size, followers):
            _wait_for_all("here", store, size, followers, START_S)
            _wait_for_all("loaded", store, size, followers)
            store.set("group", "on")
            _use_gpu(backend, device)
            join_watched(join, _leave_group, store, size, followers)
            ranks = JoinedRanks(Share(0, size), store, device)
            with _left_group(backend), watching(store, size, followers, ranks):
                try:
                    _check_gpus(backend, size)
                    yield ranks, loaded
                except BaseException:
                    if backend == "nccl":  # leaving the group could wait for messages that the others still owe
                        followers.end()
                    raise
                finally:
                    ranks.stop()
    finally:
        try:
            store.set("group", "off")  # for ranks that have not joined
        finally:
            followers.end()


@contextmanager
def following(
    rendezvous: Rendezvous, rank: int, load: Callable[[], Loaded], backend: str, device: torch.device | None = None
) -> Iterator[tuple[Ranks, Loaded]]:
    """A rank other than 0; an error of `load` or inside the block is reported to rank 0.

    Args:
        rendezvous: the one that `leading` passed to `start`.
        rank: from 1.
        load: reads the images of this rank.
        backend: the same as rank 0's.
        device: device on which this process trains; None: the one that the run's config asks for.

    Returns:
        The rank, and what `load` returned.
    """
    store = _client(rendezvous)
    share = Share(rank, rendezvous.size)
    with reporting_errors(store, rank):
        store.set(f"here-{rank}", "")
        loaded = load()
        store.set(f"loaded-{rank}", "")
        if not is_told_to_go_on(store, "group"):
            raise RanksLost("rank 0 has ended the run")
        _use_gpu(backend, device)
        _join_group(store, share, rendezvous.host, backend)
        # Reported inside the group too: leaving it could wait for rank 0, which waits for this process.
        with _left_group(backend), reporting_errors(store, rank):
            _check_gpus(backend, share.size)
            yield JoinedRanks(share, store, device), loaded


def _listening(host: str, size: int) -> TCPStore:
    """A store on a free port of one address only; by itself torch would listen on all addresses."""
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
        use_libuv=False,  # in torch 2.6 the other backend cannot take a socket that listens already
    )


def _client(rendezvous: Rendezvous) -> TCPStore:
    host, port, size = rendezvous
    return TCPStore(host, port, size, is_master=False, timeout=timedelta(seconds=START_S))


def _wait_for_all(word: str, store: TCPStore, size: int, followers: Followers, patience_s: float = math.inf) -> None:
    """Wait until every other rank has said `word`, a failure is known, or a signal comes."""
    deadline = time.monotonic() + patience_s
    while not store.check([f"{word}-{rank}" for rank in range(1, size)]):
        if error := failure_of(store, size, followers):
            raise error
        if time.monotonic() > deadline:
            raise RanksLost(f"expected {size} processes within {patience_s:g} s")
        time.sleep(POLL_S)


def _use_gpu(backend: str, device: torch.device | None) -> None:
    if backend == "nccl":
        torch.cuda.set_device(device if device is not None else 0)


def _join_group(store: TCPStore, share: Share, host: str, backend: str) -> None:
    """Form torch's default process group with the other ranks; wait for them in C++, where no signal is handled."""
    if host.startswith("127."):  # otherwise both backends would listen on the machine's external address
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
    dist.distributed_c10d._world.group_count = 0  # a failed attempt leaves it raised; all ranks' keys contain it
    dist.init_process_group(
        backend,
        store=PrefixStore("group", store),
        rank=share.rank,
        world_size=share.size,
        timeout=timedelta(seconds=TIMEOUT_S),
    )


@contextmanager
def _left_group(backend: str) -> Iterator[None]:
    """Leave the default process group when the block ends."""
    try:
        yield
    except BaseException:
        if backend == "nccl":
            abort_collectives()
        raise
    finally:
        _leave_group()


def _leave_group() -> None:
    with suppress(RuntimeError, ValueError):  # the group was aborted
        dist.destroy_process_group()


def _check_gpus(backend: str, size: int) -> None:
    if backend == "nccl":
        names: list[str] = [""] * size
        dist.all_gather_object(names, torch.cuda.get_device_name())
        refuse_mixed_gpus(names)


def refuse_mixed_gpus(gpus: Sequence[str]) -> None:
    """Refuse a run over GPUs of several kinds: each rank draws order and augmentation, and kinds draw differently.

    Args:
        gpus: name of the GPU of each rank.

    Raises:
        UserError: naming the kinds.
    """
    if len(set(gpus)) > 1:
        kinds = " and ".join(sorted(set(gpus)))
        raise UserError(f"expected GPUs of one kind for the processes of a run, got {kinds} (device.ranks)")
