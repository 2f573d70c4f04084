"""Changes to how a local Ray starts and works for which it has no option: processes, patience, workers taken over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tune_runs.ray_cluster import forked_worker

NEEDLESS_STARTS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Methods of Ray's node that start a process which only a Ray of many nodes, or a dashboard, needs."""
STARTS_WITHIN_S = 120.0
"""Time in which the node of a Ray that is started here must be there."""


@contextmanager
def local_start() -> Iterator[None]:
    """Change how a Ray is started in the block, for which `ray.init` has no options."""
    with _few_processes(), _forked_workers(), patience():
        yield


@contextmanager
def _few_processes() -> Iterator[None]:
    """Let a Ray that is started in the block start no dashboard, no autoscaler, and no reader of its workers' output.

    Each is a Python process that takes about as long to start as Ray itself. Ray listens on loopback only, also where
    it was imported before its environment was set.
    """
    from ray._private import ray_constants
    from ray._private.node import Node

    has_cluster, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    earlier = {name: getattr(Node, name) for name in NEEDLESS_STARTS}
    for name in earlier:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = has_cluster
        for name, start in earlier.items():
            setattr(Node, name, start)


@contextmanager
def _forked_workers() -> Iterator[None]:
    """Let a Ray that is started in the block have its workers forked, where the environment names a template."""
    from ray._private.node import Node

    def start_raylet(node: Any, *given: Any, **options: Any) -> None:
        if forked_worker.TEMPLATE in os.environ:
            os.environ[forked_worker.SCRIPT] = node._ray_params.worker_path
            node._ray_params.worker_path = forked_worker.__file__
        earlier(node, *given, **options)

    earlier, Node.start_raylet = Node.start_raylet, start_raylet
    try:
        yield
    finally:
        Node.start_raylet = earlier


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

    earlier, _ActorClassCache.get = _ActorClassCache.get, get
    try:
        yield
    finally:
        _ActorClassCache.get = earlier


@contextmanager
def patience() -> Iterator[None]:
    """Let Ray wait `STARTS_WITHIN_S` for its node: by itself it gives up after 30 s, also on a busy machine."""
    from ray._private import services

    get_node = services.get_node

    def wait_for_node(*given: Any) -> Any:
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                return get_node(*given)
            except RuntimeError:  # it is not there yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    services.get_node = wait_for_node
    try:
        yield
    finally:
        services.get_node = get_node
