"""Searches on a cluster whose second node does not see the run folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchmarks.faults.loopback_cluster import LoopbackCluster, can_hide_folders, loopback_cluster
from tests.support.cluster_searches import assert_complete, search_on
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not can_hide_folders(), reason="a node needs mounts of its own"
)


@contextmanager
def blind_cluster(folder: Path) -> Iterator[LoopbackCluster]:
    """Start a head and a node that has an empty disk in place of `folder`."""
    with loopback_cluster(num_nodes=2, hidden=folder) as cluster:
        yield cluster


def snapshots_of(run: Path) -> set[Path]:
    return set(run.glob("scenarios/*/checkpoints/*/epoch-*.pt"))


def file_servers(cluster: LoopbackCluster) -> list[psutil.Process]:
    """Return the processes that serve a driver's folder to blind nodes."""
    return [one for one in psutil.Process(cluster.pid).children(recursive=True) if _serves(one)]


def _serves(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "ray::_FolderServer" in " ".join(process.cmdline())
    return False


def test_search_forks_on_a_blind_node_survives_its_loss_and_resumes_on_another_cluster(tmp_path: Path) -> None:
    run = tmp_path / "runs/moved"
    with blind_cluster(tmp_path) as cluster, search_on(cluster, tmp_path) as process:
        wait_until(lambda: cluster.training() == [1, 1], process)
        wait_until(lambda: len(snapshots_of(run)) > 1, process)
        (server,) = file_servers(cluster)
        server.kill()
        wait_until(lambda: bool(file_servers(cluster)), process)
        written = snapshots_of(run)
        wait_until(lambda: bool(snapshots_of(run) - written), process)
        cluster.tell("kill node 1")
        wait_until(lambda: cluster.training()[0] == 1, process)
        process.terminate()
        printed, errors = process.communicate()
    assert "cannot see" in printed, printed + errors
    with blind_cluster(tmp_path) as other, search_on(other, tmp_path, "--resume", "runs/moved") as process:
        assert_complete(tmp_path, process)
    trials = pd.read_parquet(run / "trials.parquet")
    assert (trials.query("phase == 'search'").epochs_inherited > 0).all()
