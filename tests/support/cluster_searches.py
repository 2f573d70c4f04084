"""Searches by the command `absgd-tune` on a cluster of several nodes on loopback."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.faults.loopback_cluster import LoopbackCluster
from tests.support.commands import command
from tests.support.own_parts import RUN
from tests.support.waiting import TIMEOUT_S

NUM_TRIALS = 3
EPOCHS = 60
SPACE = {
    "name": "moved",
    "base": {
        "data": {"name": "digits", "val_per_class": 5, "n_max": 20},
        "model": {"name": "resnet8"},
        "epochs": EPOCHS,
        "batch_size": 32,
    },
    "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}}],
    "search": {
        "lam": {"low": 0.5, "high": 50, "log": True},
        "gamma": {"low": 0.1, "high": 1.0},
        "ab_alpha": {"low": 0.1, "high": 1.0},
        "switch_epoch": {"low": 1, "high": 2},
    },
    "num_trials": NUM_TRIALS,
    "early_stopping": None,
    "seeds": {"pairs": 1},
    "confirm": None,
    "resources": {"cpu": 1, "gpu": 0},
}


SOON = {"ABSGD_TUNE_LOST_AFTER_S": "15"}
"""Time limit of the watchdog: tests that end the driver wait for it; elsewhere a busy machine must not reach it."""
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
"""Addresses on which the processes of a search may listen."""


@contextmanager
def search(folder: Path, environment: Mapping[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run `absgd-tune`; end it with the block in any case."""
    (folder / "moved.yaml").write_text(yaml.safe_dump(SPACE))
    process = subprocess.Popen(
        command("absgd-tune", *words),
        cwd=folder,
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def search_on(cluster: LoopbackCluster, folder: Path, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run `absgd-tune` on a cluster; end it with the block in any case."""
    return search(folder, cluster.environment, *(words or ("--space", "moved.yaml")), "--address", cluster.address)


def assert_cluster_lost(process: subprocess.Popen[str], cluster: LoopbackCluster, *words: str) -> None:
    """Assert that the command reports the loss of its cluster and names the command to continue, with more `words`."""
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith(f"absgd-tune: error: lost the Ray cluster at {cluster.address}: ")
    resumed = shlex.join(("absgd-tune", "--resume", "runs/moved", "--address", cluster.address, *words))
    assert line.endswith(f"continue with: {resumed}"), line


def write_own_space(folder: Path, epochs: int, resources: dict[str, Any]) -> None:
    """Write `own.yaml`, the same search over the parts of a plugin."""
    base = {**{name: RUN[name] for name in ("data", "model", "loss", "batch_size")}, "epochs": epochs}
    search = {**SPACE["search"], "loss.options.power": {"choices": [1.0, 2.0]}}  # type: ignore[dict-item]
    asked = {**SPACE, "base": base, "scenarios": [{}], "search": search, "resources": resources}
    (folder / "own.yaml").write_text(yaml.safe_dump(asked))


def assert_complete(
    folder: Path, process: subprocess.Popen[str], num_trials: int = NUM_TRIALS, num_epochs: int = EPOCHS
) -> str:
    """Assert that the command succeeded and that every trial has each of its epochs once; return what it printed."""
    printed, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, printed + errors
    trials = pd.read_parquet(folder / "runs/moved/trials.parquet")
    assert set(trials.status) == {"completed"}
    assert trials.phase.value_counts().to_dict() == {"search": num_trials, "control": 1}
    epochs = pd.read_parquet(folder / "runs/moved/epochs.parquet")
    assert {name: group.epoch.tolist() for name, group in epochs.groupby("trial_id")} == {
        name: list(range(num_epochs)) for name in trials.trial_id
    }
    return printed
