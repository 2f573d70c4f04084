"""The processes of a local Ray."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from tune_runs.ray_cluster.local_start import NEEDLESS_STARTS


def test_local_ray_has_no_dashboard_autoscaler_or_reader_of_output(ray: None) -> None:
    from ray._private.node import Node

    names = set[str]()
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a process that has just ended, perhaps not yet waited for
            names |= {Path(word).name for word in one.cmdline()}
    assert "raylet" in names
    assert not names & {"dashboard.py", "monitor.py", "log_monitor.py"}
    assert [getattr(Node, name).__name__ for name in NEEDLESS_STARTS] == list(NEEDLESS_STARTS), "given back"
