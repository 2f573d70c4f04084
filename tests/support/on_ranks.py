"""Runs a function in several processes of one gloo group, this process as rank 0."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from absgd.training.ranks.alone import Ranks
from absgd.training.ranks.process_group import Rendezvous, following, leading

HOST = "127.0.0.1"
PATIENCE_S = 30.0
"""Time for the other ranks to end by themselves; one that waits in a collective operation is killed after it."""
Function = Callable[..., Any]


def nothing() -> None:
    """What a rank loads that needs no images."""


def follow(function: Function, arguments: tuple[Any, ...], rendezvous: Rendezvous, rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    try:
        with following(rendezvous, rank, nothing, "gloo") as (ranks, _):
            result = function(ranks, *arguments)
            Path(folder, str(rank)).write_bytes(pickle.dumps(result))
    except Exception:  # noqa: BLE001 - rank 0 has the error
        os._exit(1)
    os._exit(0)


class FollowerProcesses:
    """The other ranks, each a process that runs the same function."""

    target = staticmethod(follow)

    def __init__(self, function: Function, arguments: tuple[Any, ...], rendezvous: Rendezvous) -> None:
        context = multiprocessing.get_context("spawn")
        self.folder = tempfile.TemporaryDirectory()
        self.all = [
            context.Process(
                target=self.target, args=(function, arguments, rendezvous, rank, self.folder.name), daemon=True
            )
            for rank in range(1, rendezvous.size)
        ]

    def start(self) -> None:
        for process in self.all:
            process.start()

    def lost(self) -> str | None:
        ended = [(rank, one.exitcode) for rank, one in enumerate(self.all, start=1) if one.exitcode]
        return f"rank {ended[0][0]} ended with {ended[0][1]}" if ended else None

    def end(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        for process in self.all:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
        for process in self.all:
            process.join()


def on_ranks(size: int, function: Function, *arguments: Any) -> list[Any]:
    """Return the result of `function(ranks, *arguments)` in each rank, in order of rank."""
    started: list[FollowerProcesses] = []

    def start(rendezvous: Rendezvous) -> FollowerProcesses:
        started.append(FollowerProcesses(function, arguments, rendezvous))
        return started[0]

    with leading(size, HOST, start, nothing, "gloo") as (ranks, _):
        own = function(ranks, *arguments)
    return [own, *(pickle.loads(Path(started[0].folder.name, str(rank)).read_bytes()) for rank in range(1, size))]


def rank_of(ranks: Ranks) -> int:
    return ranks.share.rank
