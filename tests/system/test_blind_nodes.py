"""A search on nodes without a shared file system: it outlives all their disks by its copy on a real S3 server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchmarks.faults.loopback_cluster import LoopbackCluster, can_hide_folders, loopback_cluster
from tests.support.cluster_searches import SOON, assert_cluster_lost, assert_complete, search_on
from tests.support.commands import has_completed
from tests.support.s3_server import ENVIRONMENT, s3_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not can_hide_folders(), reason="a node needs mounts of its own"
)
EPOCHS = 120
"""Number of epochs of seconds, in which servers start and checkpoints are written."""


def snapshots_of(run: Path) -> set[Path]:
    return set(run.glob("scenarios/*/checkpoints/*/epoch-*.pt"))


def file_servers(cluster: LoopbackCluster) -> list[psutil.Process]:
    """Return the processes that serve a driver's folder to blind nodes."""
    return [one for one in psutil.Process(cluster.pid).children(recursive=True) if _serves(one)]


def _serves(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "ray::_FolderServer" in " ".join(process.cmdline())
    return False


def lose_server_and_node(cluster: LoopbackCluster, run: Path, process: subprocess.Popen[str]) -> None:
    """Kill what serves the run folder to the blind node, which gets another, and then the node.

    The other node is held meanwhile, so that it cannot train everything.
    """
    wait_until(lambda: cluster.training() == [1, 1], process)
    wait_until(lambda: len(snapshots_of(run)) > 1, process)
    wait_until(lambda: cluster.hold_trials(0), process)
    (server,) = file_servers(cluster)
    server.kill()
    wait_until(lambda: bool(file_servers(cluster)), process)
    written = snapshots_of(run)
    wait_until(lambda: bool(snapshots_of(run) - written), process)
    cluster.tell("kill node 1")
    cluster.tell("release trials 0")


def test_search_forks_on_a_blind_node_survives_its_loss_and_resumes_on_a_cluster_with_empty_disks(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with s3_server() as server:
        storage = ("--storage", server.address())
        words = ("--space", "moved.yaml", "--set", f"base.epochs={EPOCHS}", *storage)
        with (
            loopback_cluster(2, hidden=first, **ENVIRONMENT, **SOON) as cluster,
            search_on(cluster, first, *words) as process,
        ):
            lose_server_and_node(cluster, first / "runs/moved", process)
            wait_until(lambda: has_completed(first / "runs/moved/trials.parquet"), process)
            wait_until(lambda: cluster.hold_trials(0), process)
            cluster.tell("kill gcs")
            assert_cluster_lost(process, cluster, *storage)
        before = pd.read_parquet(first / "runs/moved/trials.parquet").query("status == 'completed'")
        shutil.rmtree(first)
        words = ("--resume", "runs/moved", *storage)
        with (
            loopback_cluster(2, hidden=second, **ENVIRONMENT) as other,
            search_on(other, second, *words) as process,
        ):
            printed = assert_complete(second, process, num_epochs=EPOCHS)
    assert "moved: restored from s3://bucket/runs" in printed
    assert "cannot see" in printed
    after = pd.read_parquet(second / "runs/moved/trials.parquet").set_index("trial_id")
    assert (after.query("phase == 'search'").epochs_inherited > 0).all()
    assert after.metric_last[before.trial_id].tolist() == before.metric_last.tolist()
