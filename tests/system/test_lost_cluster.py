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
from tests.support.cluster_searches import LOOPBACK, assert_complete, search, search_on
from tests.support.commands import has_completed
from tests.support.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keeps all of Ray on loopback and finds its processes")

SOON = {"ABSGD_TUNE_LOST_AFTER_S": "15"}
"""Time limit of the watchdog: tests that end the driver wait for it; elsewhere a busy machine must not reach it."""


def completed_before_the_blow(folder: Path, blow: str) -> pd.DataFrame:
    """Search on a cluster whose head is lost, which the driver reports; return the trials that it had recorded."""
    trials = folder / "runs/moved/trials.parquet"
    with loopback_cluster(num_nodes=1, **SOON) as doomed, search_on(doomed, folder) as process:
        wait_until(lambda: has_completed(trials), process)
        doomed.tell(blow)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith(f"absgd-tune: error: lost the Ray cluster at {doomed.address}: ")
    assert line.endswith(f"continue with: absgd-tune --resume runs/moved --address {doomed.address}")
    return pd.read_parquet(trials).query("status == 'completed'").set_index("trial_id")


@pytest.mark.parametrize("blow", ["kill raylet 0", "hang node 0"])
def test_driver_whose_head_is_lost_reports_it(tmp_path: Path, blow: str) -> None:
    assert len(completed_before_the_blow(tmp_path, blow))


def test_search_resumes_on_a_new_cluster(tmp_path: Path) -> None:
    trials = tmp_path / "runs/moved/trials.parquet"
    before = completed_before_the_blow(tmp_path, "kill gcs")
    with loopback_cluster(num_nodes=1) as cluster, search_on(cluster, tmp_path, "--resume", "runs/moved") as process:
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
