"""Ranks on this machine: refused where there are too few GPUs, ended with the process that leads them."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.local_ranks import _LocalFollowers, local_ranks
from absgd.training.ranks.alone import ALONE
from absgd.training.ranks.process_group import Rendezvous
from tests.contracts.datasets import dataset_config
from tests.support.small_files import write_imagefolder
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


@pytest.mark.parametrize("workers", [0, 1])
def test_ranks_end_when_the_process_that_leads_them_is_killed(tmp_path: Path, workers: int) -> None:
    """With the processes that read their images: each rank has one, and the server that forks it."""
    root = write_imagefolder(tmp_path, num_classes=3, per_class=60)
    config = dataset_config("imagefolder", root, **{"data.side": 64, "data.workers": workers, "epochs": 10_000})
    config = config.with_values({"device": {"type": "cpu", "ranks": 2, "threads": 1}})
    context = multiprocessing.get_context("spawn")
    leader = context.Process(target=lead, args=(config.to_dict(),))
    leader.start()
    descendants: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + 300
        while count_of(descendants, "spawn_main") < 1 or count_of(descendants, "forkserver") < 4 * workers:
            assert time.monotonic() < deadline, "it did not begin to train"
            time.sleep(0.05)
            descendants = psutil.Process(leader.pid).children(recursive=True)
    finally:
        leader.kill()
    deadline = time.monotonic() + 60
    while any(map(is_alive, descendants)):
        assert time.monotonic() < deadline, [title(one) for one in descendants if is_alive(one)]
        time.sleep(0.1)


def count_of(processes: list[psutil.Process], word: str) -> int:
    return sum(word in title(one) for one in processes)


def title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not: it may stay if its parent never reaps it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lead(settings: dict[str, Any]) -> None:
    config = RunConfig.from_dict(settings)
    with local_ranks(config) as (ranks, splits):
        for _ in Trainer(config, splits, ranks=ranks).epochs():
            pass


def test_interrupt_between_two_starts_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    followers = _LocalFollowers(config_with(**{"device.ranks": 3}), Rendezvous("127.0.0.1", 1, 3), is_cuda=False)
    first, second = followers._processes

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(second, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        followers.start()
    followers.end()
    assert first.exitcode is not None
    assert second.pid is None


def test_process_ended_by_a_signal_is_named_before_one_that_failed_by_its_end() -> None:
    followers = _LocalFollowers.__new__(_LocalFollowers)
    followers._processes = [SimpleNamespace(exitcode=code) for code in (None, 1, -9)]  # type: ignore[misc]
    assert followers.lost() == "rank 3 ended with exit status -9"
    followers._processes = followers._processes[:2]
    assert followers.lost() == "rank 2 ended with exit status 1"
    followers._processes = followers._processes[:1]
    assert followers.lost() is None
