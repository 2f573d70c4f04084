"""Processes that run a Ray task or actor, and searches in which one of them is killed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from tests.support.commands import replaced_table
from tests.support.ray_searches import search
from tests.support.waiting import wait_until


def restarts_after_a_kill(space: Any, folder: Path, name: str) -> int:
    """Run a search, kill a process of this name after three epochs, and return the restarts of all runs."""
    every_epoch, killed = list(range(space.base["epochs"])), list[int]()

    def kill_one() -> None:
        wait_until(lambda: has_epochs(folder / "run/epochs.parquet", 3) and bool(tasks_of(name)))
        (process, *_) = tasks_of(name)
        process.kill()
        killed.append(process.pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    found, printed = search(space, folder / "run")
    killer.join()
    assert killed
    assert found, printed
    trials = pd.read_parquet(folder / "run/trials.parquet")
    assert set(trials.status) == {"completed"}, trials.error.tolist()
    epochs = pd.read_parquet(folder / "run/epochs.parquet")
    assert epochs.groupby("trial_id").epoch.apply(list).map(lambda found: found == every_epoch).all()
    return int(trials.restarts.sum())


def has_epochs(path: Path, number: int) -> bool:
    return path.exists() and len(replaced_table(path)) >= number


def tasks_of(name: str) -> list[psutil.Process]:
    """Return the processes that run a Ray task or actor of this name now."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if f"ray::{name}" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
