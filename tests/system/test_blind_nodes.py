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
from tests.support.cluster_searches import assert_complete, search_on
from tests.support.s3_server import ENVIRONMENT, s3_server
from tests.support.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not can_hide_folders(), reason="a node needs mounts of its own"
)


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
    """Kill what serves the run folder to the blind node, which gets another, and then the node."""
    wait_until(lambda: cluster.training() == [1, 1], process)
    wait_until(lambda: len(snapshots_of(run)) > 1, process)
    (server,) = file_servers(cluster)
    server.kill()
    wait_until(lambda: bool(file_servers(cluster)), process)
    written = snapshots_of(run)
    wait_until(lambda: bool(snapshots_of(run) - written), process)
    cluster.tell("kill node 1")
    wait_until(lambda: cluster.training()[0] == 1, process)


def test_search_forks_on_a_blind_node_survives_its_loss_and_resumes_on_a_cluster_with_empty_disks(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with s3_server() as server:
        storage = ("--storage", server.address())
        words = ("--space", "moved.yaml", *storage)
        with loopback_cluster(2, hidden=first, **ENVIRONMENT) as cluster:
            with search_on(cluster, first, *words) as process:
                lose_server_and_node(cluster, first / "runs/moved", process)
                process.terminate()
                printed, errors = process.communicate(timeout=TIMEOUT_S)
            assert "cannot see" in printed, printed + errors
            assert "--storage" in errors, "the command that resumes names the storage"
        shutil.rmtree(first)
        words = ("--resume", "runs/moved", *storage)
        with (
            loopback_cluster(2, hidden=second, **ENVIRONMENT) as other,
            search_on(other, second, *words) as process,
        ):
            printed = assert_complete(second, process)
    assert "moved: restored from s3://bucket/runs" in printed
    trials = pd.read_parquet(second / "runs/moved/trials.parquet")
    assert (trials.query("phase == 'search'").epochs_inherited > 0).all()
