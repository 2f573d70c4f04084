"""Searches on a cluster of two nodes on loopback, also when one node is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.faults.loopback_cluster import LoopbackCluster, listening_addresses, loopback_cluster
from tests.support.cluster_searches import LOOPBACK, assert_complete, search, search_on
from tests.support.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keeps all of Ray on loopback and finds its processes")


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
        printed = assert_complete(tmp_path, process)
    assert "cannot see" not in printed, "both nodes see the run folder"
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
