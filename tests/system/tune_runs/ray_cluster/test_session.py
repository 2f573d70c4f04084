"""The processes of a local Ray."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tune_runs.ray_cluster.local_start import NEEDLESS_STARTS
from tune_runs.ray_cluster.session import _LOCAL, is_started_here, ray_session


def test_local_ray_has_no_dashboard_autoscaler_or_reader_of_output(ray: None) -> None:
    from ray._private.node import Node

    names = set[str]()
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a process that has just ended, perhaps not yet waited for
            names |= {Path(word).name for word in one.cmdline()}
    assert "raylet" in names
    assert not names & {"dashboard.py", "monitor.py", "log_monitor.py"}
    assert [getattr(Node, name).__name__ for name in NEEDLESS_STARTS] == list(NEEDLESS_STARTS), "given back"


def test_session_inside_another_knows_who_started_ray(ray: None) -> None:
    assert is_started_here()
    with ray_session():
        assert is_started_here()
    assert is_started_here()


def test_what_workers_preload_leaves_the_gpus_for_the_trial_that_takes_them_over() -> None:
    """Ray shows a trial its GPUs when it starts, in a process that has imported this long before."""
    asked = "assert not torch.cuda.is_initialized() and torch.cuda._cached_device_count is None"
    code = f"import torch, {_LOCAL['RAY_preload_python_modules']}; {asked}"
    subprocess.run([sys.executable, "-c", code], check=True)
