"""Searches on a cluster of two nodes on loopback, of which one is lost, or has no file of a plugin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.faults.loopback_cluster import LoopbackCluster, listening_addresses, loopback_cluster
from tests.support.cluster_searches import (
    EPOCHS,
    LOOPBACK,
    NUM_TRIALS,
    assert_complete,
    search,
    search_on,
    write_own_space,
)
from tests.support.own_parts import written
from tests.support.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keeps all of Ray on loopback and finds its processes")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    with loopback_cluster(num_nodes=2) as cluster:
        yield cluster


def test_trials_of_a_node_that_is_lost_move_to_the_other_and_nothing_listens_beyond_loopback(
    cluster: LoopbackCluster, tmp_path: Path
) -> None:
    """The second node is killed; one that is added hangs after a while.

    The first node is held meanwhile, however fast it is: the lost trial waits for the node that is added.
    """
    try:
        with search_on(cluster, tmp_path, "--space", "moved.yaml", "--num-trials", str(NUM_TRIALS + 2)) as process:
            wait_until(lambda: cluster.training() == [1, 1], process)
            processes = [psutil.Process(pid) for pid in (process.pid, cluster.pid)]
            addresses = listening_addresses(*processes)
            wait_until(lambda: cluster.hold_trials(0), process)
            cluster.tell("kill node 1")
            cluster.add_node()
            wait_until(lambda: cluster.training()[-1] == 1, process)
            cluster.tell(f"hang node {cluster.num_nodes - 1}")
            cluster.tell("release trials 0")
            printed = assert_complete(tmp_path, process, NUM_TRIALS + 2)
    finally:
        cluster.add_node()
    assert "cannot see" not in printed, "all nodes see the run folder"
    assert addresses
    assert addresses <= LOOPBACK


def test_nodes_without_a_plugins_file_get_its_text(cluster: LoopbackCluster, tmp_path: Path) -> None:
    num_epochs = 5 * EPOCHS  # of few milliseconds: both nodes must train at the same time
    write_own_space(tmp_path, num_epochs, {"cpu": 1, "gpu": 0})
    file = written(tmp_path)
    with search_on(cluster, tmp_path, "--space", "own.yaml", "--plugin", str(file)) as process:
        assert process.stdout is not None
        assert "starting" in process.stdout.readline()
        file.unlink()
        wait_until(lambda: cluster.training()[0] == cluster.training()[-1] == 1, process)
        assert_complete(tmp_path, process, num_epochs=num_epochs)


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
