"""Changes to how a local Ray starts and works for which it has no option: processes, patience, workers taken over."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from tune_runs.ray_cluster import forked_worker, resting_agent
from tune_runs.ray_cluster.replaced import replaced

NEEDLESS_STARTS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Methods of Ray's node that start a process which only a Ray of many nodes, or a dashboard, needs."""
STARTS_WITHIN_S = 120.0
"""Time in which the node of a Ray that is started here must be there."""


@contextmanager
def local_start() -> Iterator[None]:
    """Change how a Ray is started in the block, for which `ray.init` has no options."""
    with _few_processes(), _programs_of_ours(), patience():
        yield


@contextmanager
def _few_processes() -> Iterator[None]:
    """Let a Ray that is started in the block start no dashboard, no autoscaler, and no reader of its workers' output.

    Each is a Python process that takes about as long to start as Ray itself. Ray listens on loopback only, also where
    it was imported before its environment was set.
    """
    from ray._private import ray_constants
    from ray._private.node import Node

    starts = dict.fromkeys(NEEDLESS_STARTS, lambda *_, **__: None)
    with replaced(ray_constants, ENABLE_RAY_CLUSTER=False), replaced(Node, **starts):
        yield


@contextmanager
def _programs_of_ours() -> Iterator[None]:
    """Let the raylet that is started in the block start our programs in place of its workers and agents, on Linux."""
    from ray._private.node import Node

    def start_raylet(node: Any, *given: Any, **options: Any) -> None:
        if forked_worker.TEMPLATE in os.environ:
            _fork_workers(node)
        ours.enter_context(_resting_agents(node))
        start(node, *given, **options)

    start = Node.start_raylet
    with ExitStack() as ours:
        if sys.platform == "linux":
            ours.enter_context(replaced(Node, start_raylet=start_raylet))
        yield


def _fork_workers(node: Any) -> None:
    """Let the workers of Ray's node, whose raylet has not started, be forks of the template: see `forked_worker`."""
    os.environ[forked_worker.SCRIPT] = node._ray_params.worker_path
    node._ray_params.worker_path = forked_worker.__file__


@contextmanager
def _resting_agents(node: Any) -> Iterator[None]:
    """Let the agents of Ray's node, whose raylet starts in the block, rest: see `resting_agent`."""
    from ray._private import services

    def resting(*given: Any, **options: Any) -> list[str]:
        return [sys.executable, "-IS", resting_agent.__file__, *command(*given, **options)]

    command = services._build_python_executable_command_memory_profileable
    raylet: Any = import_module("ray._raylet")
    absent = raylet.METRICS_AGENT_PORT_NAME, raylet.METRICS_EXPORT_PORT_NAME, raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME
    for name in absent:  # so says the agent itself where Ray is installed without a dashboard
        raylet.persist_port(node._session_dir, node._node_id, name, -1)
    with socket.socket(resting_agent.family_of(node._node_ip_address)) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the agent can listen there
        reserved.bind((node._node_ip_address, 0))
        node._ray_params.runtime_env_agent_port = reserved.getsockname()[1]
        with replaced(services, _build_python_executable_command_memory_profileable=resting):
            yield


@contextmanager
def trials_take_any_worker() -> Iterator[None]:
    """Let trials that Tune starts in the block take over workers that wait for work.

    By itself Tune gives trials environment variables of their own, for which Ray starts a worker of its own. A Ray that
    was started here has them already.
    """
    import ray
    from ray.tune.execution.class_cache import _ActorClassCache

    def get(cache: Any, trainable: Any) -> Any:
        if trainable not in cache._cache:
            cache._cache[trainable] = ray.remote(trainable)
        return cache._cache[trainable]

    with replaced(_ActorClassCache, get=get):
        yield


@contextmanager
def patience() -> Iterator[None]:
    """Let Ray wait `STARTS_WITHIN_S` for its node: by itself it gives up after 30 s, also on a busy machine."""
    from ray._private import services

    def wait_for_node(*given: Any) -> Any:
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                return get_node(*given)
            except RuntimeError:  # it is not there yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    get_node = services.get_node
    with replaced(services, get_node=wait_for_node):
        yield
