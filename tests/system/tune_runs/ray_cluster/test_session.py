"""The processes of a local Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tune_runs.ray_cluster.local_start import NEEDLESS_STARTS
from tune_runs.ray_cluster.session import _LOCAL, is_started_here, ray_session


def test_local_ray_has_no_dashboard_autoscaler_or_reader_of_output(ray: None) -> None:
    from ray._private import services
    from ray._private.node import Node

    commands = list[list[str]]()
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a process that has just ended, perhaps not yet waited for
            commands.append([Path(word).name for word in one.cmdline()])
    names = {name for command in commands for name in command}
    assert "raylet" in names
    assert not names & {"dashboard.py", "monitor.py", "log_monitor.py"}
    if sys.platform == "linux":
        assert ["resting_agent.py" in command for command in commands if "agent.py" in command] == [True]
        assert all("resting_agent.py" in command for command in commands if "main.py" in command), "or it is renamed"
    assert [getattr(Node, name).__name__ for name in NEEDLESS_STARTS] == list(NEEDLESS_STARTS), "given back"
    changed = Node.start_raylet, services.get_node, services._build_python_executable_command_memory_profileable
    assert {one.__module__ for one in changed} <= {Node.__module__, services.__name__}, "given back too"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no worker is forked")
def test_workers_are_forks_of_the_template_with_an_environment_of_their_own(ray: None) -> None:
    import ray

    def facts() -> tuple[int, str | None]:
        return os.getppid(), os.environ.get("MINE")

    for runtime_env in ({}, {"env_vars": {"MINE": "1"}}):  # of the second kind Ray starts by another script
        task = ray.remote(facts).options(runtime_env=runtime_env)
        parent, mine = ray.get(task.remote(), timeout=60)
        assert "run_template" in " ".join(psutil.Process(parent).cmdline())
        assert mine == runtime_env.get("env_vars", {}).get("MINE")


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
