"""A driver whose cluster, or whose own Ray, is lost: it reports what was lost, and the search resumes elsewhere."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchmarks.faults.loopback_cluster import listening_addresses, loopback_cluster
from tests.support.cluster_searches import LOOPBACK, SOON, assert_cluster_lost, search, search_on
from tests.support.commands import has_completed
from tests.support.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keeps all of Ray on loopback and finds its processes")


@pytest.mark.parametrize("blow", ["kill raylet 0", "hang node 0"])
def test_driver_whose_head_is_lost_reports_it(tmp_path: Path, blow: str) -> None:
    trials = tmp_path / "runs/moved/trials.parquet"
    words = ("--space", "moved.yaml", "--num-trials", "8")
    with loopback_cluster(num_nodes=1, **SOON) as doomed, search_on(doomed, tmp_path, *words) as process:
        wait_until(lambda: has_completed(trials), process)
        doomed.tell(blow)
        assert_cluster_lost(process, doomed)
    assert "completed" in set(pd.read_parquet(trials).status)


@pytest.mark.parametrize(("name", "blow"), [("raylet", signal.SIGKILL), ("gcs_server", signal.SIGSTOP)])
def test_driver_whose_own_ray_is_lost_reports_it_and_leaves_no_process(
    tmp_path: Path, name: str, blow: signal.Signals
) -> None:
    words = ("--space", "moved.yaml", "--set", "base.epochs=2000")
    with search(tmp_path, os.environ | SOON, *words) as process:
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
