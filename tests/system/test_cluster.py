"""Searches on a cluster of several nodes on loopback, also when parts of it are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from benchmarks.faults.loopback_cluster import LoopbackCluster, listening_addresses, loopback_cluster
from tests.support.commands import command, has_completed
from tests.support.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keeps all of Ray on loopback and finds its processes")

LOST_AFTER_S = 8
SOON = {"ABSGD_TUNE_LOST_AFTER_S": str(LOST_AFTER_S)}
"""Time limit of the watchdog: tests that end the driver wait for it; elsewhere a busy machine must not reach it."""
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
    "confirm": None,
    "resources": {"cpu": 1, "gpu": 0},
}


LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


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


def assert_complete(folder: Path, process: subprocess.Popen[str]) -> None:
    """Assert that the command succeeded and that every trial has each of its epochs once."""
    printed, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, printed + errors
    trials = pd.read_parquet(folder / "runs/moved/trials.parquet")
    assert set(trials.status) == {"completed"}
    assert trials.phase.value_counts().to_dict() == {"search": NUM_TRIALS, "control": 1}
    epochs = pd.read_parquet(folder / "runs/moved/epochs.parquet")
    assert {name: group.epoch.tolist() for name, group in epochs.groupby("trial_id")} == {
        name: list(range(EPOCHS)) for name in trials.trial_id
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    with loopback_cluster(num_nodes=2) as cluster:
        yield cluster


def test_search_trains_on_both_nodes_and_nothing_listens_beyond_loopback(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    with search_on(cluster, tmp_path) as process:
        wait_until(lambda: cluster.training() == [1, 1], process)
        processes = [psutil.Process(pid) for pid in (process.pid, cluster.pid)]
        addresses = listening_addresses(*processes)
        assert_complete(tmp_path, process)
    assert addresses
    assert addresses <= LOOPBACK


@pytest.mark.parametrize("blow", ["kill", "hang"])
def test_trials_of_a_node_that_is_lost_move_to_the_other(cluster: LoopbackCluster, tmp_path: Path, blow: str) -> None:
    try:
        with search_on(cluster, tmp_path) as process:
            wait_until(lambda: cluster.training()[-1] == 1, process)
            cluster.tell(f"{blow} node {cluster.num_nodes - 1}")
            assert_complete(tmp_path, process)
    finally:
        cluster.add_node()


@pytest.mark.parametrize("changed", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN_PATH": "none"}])
def test_driver_without_the_token_is_refused_with_its_place(
    cluster: LoopbackCluster, tmp_path: Path, changed: dict[str, str]
) -> None:
    environment = cluster.environment | changed | {"HOME": str(tmp_path)}
    with search(tmp_path, environment, "--space", "moved.yaml", "--address", cluster.address) as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2, errors
    assert f"expected the token of the Ray cluster at '{cluster.address}'" in errors
    assert "Traceback" not in errors


BLOWS = ["kill gcs", "kill raylet 0", "hang node 0"]


@pytest.mark.parametrize("blow", BLOWS)
def test_driver_whose_head_is_lost_reports_it_and_resumes_on_a_new_cluster(
    cluster: LoopbackCluster, tmp_path: Path, blow: str
) -> None:
    trials = tmp_path / "runs/moved/trials.parquet"
    with loopback_cluster(num_nodes=1, **SOON) as doomed, search_on(doomed, tmp_path) as process:
        wait_until(lambda: has_completed(trials), process)
        doomed.tell(blow)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith(f"absgd-tune: error: lost the Ray cluster at {doomed.address}: ")
    assert line.endswith(f"continue with: absgd-tune --resume runs/moved --address {doomed.address}")
    before = pd.read_parquet(trials).query("status == 'completed'").set_index("trial_id")
    with search_on(cluster, tmp_path, "--resume", "runs/moved") as process:
        assert_complete(tmp_path, process)
    after = pd.read_parquet(trials).set_index("trial_id")
    assert after.loc[before.index, "metric_last"].equals(before.metric_last)


@pytest.mark.parametrize(("name", "blow"), [("raylet", signal.SIGKILL), ("gcs_server", signal.SIGSTOP)])
def test_driver_whose_own_ray_is_lost_reports_it_and_leaves_no_process(
    tmp_path: Path, name: str, blow: signal.Signals
) -> None:
    with search(tmp_path, os.environ | SOON, "--space", "moved.yaml") as process:
        wait_until((tmp_path / "runs/moved/trials.parquet").exists, process)
        processes = psutil.Process(process.pid).children(recursive=True)
        (struck,) = [one for one in processes if one.name() == name]
        agents = [one for one in processes if one.name().endswith("Agent")]
        addresses = listening_addresses(psutil.Process(process.pid))
        struck.send_signal(blow)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith("absgd-tune: error: lost the Ray of this process: ")
    assert line.endswith("continue with: absgd-tune --resume runs/moved")
    assert addresses
    assert addresses <= LOOPBACK
    # Ray's agents end by themselves too, but take up to a minute where the GCS is gone.
    assert not psutil.wait_procs([one for one in processes if one not in agents], timeout=100)[1]
