"""The processes of a local Ray."""

from __future__ import annotations

from pathlib import Path

import psutil

from tune_runs.ray_cluster.session import NEEDLESS_STARTS


def test_local_ray_has_no_dashboard_autoscaler_or_reader_of_output(ray: None) -> None:
    from ray._private.node import Node

    names = {Path(word).name for one in psutil.Process().children(recursive=True) for word in one.cmdline()}
    assert "raylet" in names
    assert not names & {"dashboard.py", "monitor.py", "log_monitor.py"}
    assert [getattr(Node, name).__name__ for name in NEEDLESS_STARTS] == list(NEEDLESS_STARTS), "given back"
