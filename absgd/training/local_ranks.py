"""Ranks as processes of this machine, for `absgd-train`."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import torch

from absgd.child_process import end_with_parent, interrupts_held
from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.errors import UserError
from absgd.training.device import chosen_device, out_of_memory_as_user_error
from absgd.training.ranks.alone import ALONE, Ranks
from absgd.training.ranks.process_group import Rendezvous, following, leading
from absgd.training.step import Diverged
from absgd.training.trainer import Trainer

_HOST = "127.0.0.1"
_PATIENCE_S = 2.0
"""Time for the other ranks to end by themselves; they have nothing to save."""


@contextmanager
def local_ranks(config: RunConfig) -> Iterator[tuple[Ranks, Splits]]:
    """Rank 0 of `config.device.ranks`, with the others started as processes; where there are GPUs, one on each.

    Returns:
        The rank, and the images of the run.

    Raises:
        UserError: if there are fewer GPUs than ranks, or as `absgd.training.ranks.process_group.leading`.
    """
    size = config.device.ranks
    if size == 1:
        yield ALONE, load_splits(config)
        return
    is_cuda = chosen_device(config.device).type == "cuda"
    if is_cuda and torch.cuda.device_count() < size:
        raise UserError(
            f"expected `ranks` <= {torch.cuda.device_count()} (GPUs of this machine), got {size}: "
            "each process needs a GPU of its own (device.ranks)"
        )
    _share_cores(config)

    def followers_at(rendezvous: Rendezvous) -> _LocalFollowers:
        return _LocalFollowers(config, rendezvous, is_cuda)

    load = partial(load_splits, config)
    with leading(size, _HOST, followers_at, load, _backend(is_cuda), _device(is_cuda, 0)) as joined:
        yield joined


def follow(config: RunConfig, splits: Splits, ranks: Ranks) -> None:
    """Train as another rank until rank 0 announces no further epoch; rank 0 alone records.

    Raises:
        UserError: if the GPU of this rank is out of memory.
    """
    with suppress(Diverged), out_of_memory_as_user_error(config):  # rank 0 raises it too
        for _ in Trainer(config, splits, ranks=ranks).epochs():
            pass


class _LocalFollowers:
    """The other ranks; they end when this process does. Not daemons: those may start no processes that read images."""

    def __init__(self, config: RunConfig, rendezvous: Rendezvous, is_cuda: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes = [
            context.Process(target=_follow_here, args=(config, rendezvous, rank, is_cuda))
            for rank in range(1, rendezvous.size)
        ]

    def start(self) -> None:
        with interrupts_held():
            for process in self._processes:
                process.start()

    def lost(self) -> str | None:
        """Describe a process that ended by a signal, else one that ended with an error; None if none did."""
        ended = [(process.exitcode, rank) for rank, process in enumerate(self._processes, start=1) if process.exitcode]
        if not ended:
            return None
        status, rank = min(ended)  # signals are negative; an error is often the effect of another process's end
        return f"rank {rank} ended with exit status {status}"

    def end(self) -> None:
        """Wait a moment, then kill."""
        deadline = time.monotonic() + _PATIENCE_S
        started = [process for process in self._processes if process.pid is not None]
        try:
            for process in started:
                process.join(max(0.0, deadline - time.monotonic()))
        finally:  # after a second Ctrl-C too
            for process in started:
                process.kill()
        for process in started:
            process.join(_PATIENCE_S)  # it may wait in the kernel for a disk


def _follow_here(config: RunConfig, rendezvous: Rendezvous, rank: int, is_cuda: bool) -> None:
    end_with_parent()
    _share_cores(config)
    try:
        load = partial(load_splits, config)
        with following(rendezvous, rank, load, _backend(is_cuda), _device(is_cuda, rank)) as (ranks, splits):
            follow(config, splits, ranks)
    except Exception:  # noqa: BLE001 - reported to rank 0, which raises it
        os._exit(1)
    os._exit(0)  # gloo's threads may still hold Python objects, and then a normal exit aborts


def _share_cores(config: RunConfig) -> None:
    """Divide the cores of the machine among the processes, unless `threads` is given."""
    if config.device.threads is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // config.device.ranks))


def _backend(is_cuda: bool) -> str:
    return "nccl" if is_cuda else "gloo"


def _device(is_cuda: bool, rank: int) -> torch.device:
    return torch.device("cuda", rank) if is_cuda else torch.device("cpu")
