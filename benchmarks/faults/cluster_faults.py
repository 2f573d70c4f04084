"""Nodes and heads that are lost or hang, in real clusters on this machine's loopback."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.attacked_search import LIMIT_S, AttackedSearch, faults_space, search_differences
from benchmarks.faults.fault_outcome import FaultOutcome
from benchmarks.faults.loopback_cluster import LoopbackCluster, loopback_cluster
from tune_runs.space.model import SearchSpace

LOST_AFTER_S = "10"
"""Seconds of silence after which the driver considers its head lost here; the default is 30."""


def lost_nodes(num_faults: int, folder: Path) -> list[FaultOutcome]:
    """Kill or hang the second of two nodes while it trains: its trials continue on the first."""
    whole = _undisturbed(folder)
    outcomes = []
    for blow in ("kill", "hang"):
        survived = restarts = 0
        for number in range(num_faults):
            search = AttackedSearch(_space(), folder / f"node-{blow}-{number}")
            with loopback_cluster(num_nodes=2) as cluster:
                status = _attacked_session(search, cluster, lambda one: one.training()[-1] > 0, f"{blow} node 1")
            survived += status == 0 and not search_differences(whole, search, in_order=False)
            restarts += search.restarts()
        outcomes.append(
            FaultOutcome(f"node {_past(blow)}", num_faults, survived, f"{restarts} restarts on the other node")
        )
    return outcomes


def lost_heads(num_faults: int, folder: Path) -> list[FaultOutcome]:
    """Kill or hang parts of the head: the driver ends by itself, and the search resumes on a new cluster."""
    whole = _undisturbed(folder)
    outcomes = []
    for words, fault in (
        ("kill gcs", "head's GCS killed"),
        ("kill raylet 0", "head's raylet killed"),
        ("hang node 0", "head hanging"),
    ):
        survived = 0
        for number in range(num_faults):
            search = AttackedSearch(_space(), folder / f"{words}-{number}".replace(" ", "-"))
            with loopback_cluster(num_nodes=1) as cluster:
                status = _attacked_session(search, cluster, _has_checkpoints(search), words)
            is_reported = status == 1 and "lost the Ray cluster at" in search.printed
            with loopback_cluster(num_nodes=1) as cluster:
                status = _attacked_session(search, cluster)
            survived += is_reported and status == 0 and not search_differences(whole, search, in_order=False)
        outcomes.append(FaultOutcome(fault, num_faults, survived, "status 1 with a message, resumed on a new cluster"))
    return outcomes


def _attacked_session(
    search: AttackedSearch,
    cluster: LoopbackCluster,
    is_due: Callable[[LoopbackCluster], bool] | None = None,
    words: str = "",
) -> int:
    """Run a session on a cluster, and send the cluster a command once it is due; return the exit status.

    Args:
        search: the search under attack.
        cluster: where it runs.
        is_due: whether the attack is due; None: no attack.
        words: command of the attack.

    Raises:
        subprocess.TimeoutExpired: if the driver hangs.
    """
    environment = {**cluster.environment, "ABSGD_TUNE_LOST_AFTER_S": LOST_AFTER_S}
    with search.session("--address", cluster.address, environment=environment) as process:
        if is_due is not None and search.wait_until(lambda: is_due(cluster), process):
            cluster.tell(words)
        return process.wait(LIMIT_S)


def _has_checkpoints(search: AttackedSearch) -> Callable[[LoopbackCluster], bool]:
    return lambda _: len(search.checkpoints()) > 1


def _space() -> SearchSpace:
    """Return a space with fixed configurations: drawn ones would depend on which trial ended first."""
    drawn = random.Random(0)
    points: list[dict[str, Any]] = [
        {
            "lam": drawn.uniform(0.5, 50),
            "gamma": drawn.uniform(0.1, 1),
            "ab_alpha": drawn.uniform(0.1, 1),
            "switch_epoch": drawn.randint(16, 28),
        }
        for _ in range(6)
    ]
    return faults_space(enqueue=points, num_trials=len(points), early_stopping=None, resources={"cpu": 1, "gpu": 0})


def _undisturbed(folder: Path) -> AttackedSearch:
    search = AttackedSearch(_space(), folder / "whole-enqueued")
    assert search.finish() == 0, search.printed
    return search


def _past(blow: str) -> str:
    return {"kill": "killed", "hang": "hanging"}[blow]
