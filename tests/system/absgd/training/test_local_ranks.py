"""Ranks on this machine: refused where there are too few GPUs, ended with the process that leads them."""

from __future__ import annotations

import multiprocessing
import time
from types import SimpleNamespace

import psutil
import pytest
import torch

from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.local_ranks import _LocalFollowers, local_ranks
from absgd.training.ranks.alone import ALONE
from tests.support.small_runs import config_with


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = config_with(**{"device.ranks": 4, "device.type": "cuda"})
    with pytest.raises(UserError, match=r"expected `ranks` <= 2 \(GPUs of this machine\), got 4"), local_ranks(config):
        pass


def test_one_rank_starts_nothing() -> None:
    with local_ranks(config_with()) as ranks:
        assert ranks[0] is ALONE


def test_ranks_end_when_the_process_that_leads_them_is_killed() -> None:
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    leader = context.Process(target=lead, args=(tell,))
    leader.start()
    try:
        assert told.poll(300), "it did not begin to train"
        (follower,) = (psutil.Process(pid) for pid in told.recv())
    finally:
        leader.kill()
    deadline = time.monotonic() + 120
    while is_alive(follower):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not: it may stay if its parent never reaps it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lead(tell: multiprocessing.connection.Connection) -> None:
    config = config_with(**{"device.ranks": 2, "epochs": 10_000})
    with local_ranks(config) as (ranks, splits):
        for _ in Trainer(config, splits, ranks=ranks).epochs():
            children = psutil.Process().children()
            tell.send([child.pid for child in children if "spawn_main" in " ".join(child.cmdline())])


def test_process_ended_by_a_signal_is_named_before_one_that_failed_by_its_end() -> None:
    followers = _LocalFollowers.__new__(_LocalFollowers)
    followers._processes = [SimpleNamespace(exitcode=code) for code in (None, 1, -9)]  # type: ignore[misc]
    assert followers.lost() == "rank 3 ended with exit status -9"
    followers._processes = followers._processes[:2]
    assert followers.lost() == "rank 2 ended with exit status 1"
    followers._processes = followers._processes[:1]
    assert followers.lost() is None
