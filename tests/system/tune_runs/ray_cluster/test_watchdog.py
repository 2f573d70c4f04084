"""The watchdog on a real Ray."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time

import pytest

from tune_runs.ray_cluster.watchdog import (
    LIMIT_VARIABLE,
    Lost,
    questions_to_ray,
    watchdog,
)

GO_ON = "absgd-tune --resume 'runs/my run' --address 10.0.0.1:6379"


def test_questions_to_a_real_ray_are_answered(ray: None) -> None:
    for question in questions_to_ray():
        question.ask()


def test_node_not_alive_at_the_head_is_lost(ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray as real

    head, _ = questions_to_ray()
    dead = [{**node, "Alive": False} for node in real.nodes()]
    monkeypatch.setattr(real, "nodes", lambda: dead)
    with pytest.raises(Lost, match="dead, says its head"):
        head.ask()


def test_no_false_alarm_on_a_busy_machine(ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes for each core, and a driver that keeps Python's lock for seconds: an alarm would end pytest."""
    monkeypatch.setenv(LIMIT_VARIABLE, "5")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with watchdog(None, GO_ON):
            ctypes.PyDLL(None).usleep(6_000_000)
            time.sleep(6)
    finally:
        for process in busy:
            process.kill()
            process.wait()
