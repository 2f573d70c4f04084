"""A node lost or hanging, and the head of the cluster, in real clusters of this machine's loopback."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.loopback_cluster import LoopbackCluster, loopback_cluster
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.search import LIMIT_S, Attacked, differences, faults_space
from tune_runs.space.model import SearchSpace

LOST_AFTER_S = "10"
"""Seconds of silence after which the driver takes its head for lost here; 30 unless told otherwise."""

Blow = Callable[[LoopbackCluster], object]


def lost_nodes(num_faults: int, folder: Path) -> list[Outcome]:
    """The second of two nodes, while it trains: its trials go on on the first."""
    whole = _undisturbed(folder)
    outcomes = []
    for blow in ("kill", "hang"):
        survived = restarts = 0
        for number in range(num_faults):
            search = Attacked(_space(), folder / f"node-{blow}-{number}")
            with loopback_cluster(num_nodes=2) as cluster:
                status = _attack(search, cluster, lambda one: one.training()[-1] > 0, f"{blow} node 1")
            survived += status == 0 and not differences(whole, search, in_order=False)
            restarts += search.restarts()
        outcomes.append(Outcome(f"node {_past(blow)}", num_faults, survived, f"{restarts} restarts on the other node"))
    return outcomes


def lost_heads(num_faults: int, folder: Path) -> list[Outcome]:
    """Parts of the head: the driver ends by itself, and the search is gone on with on a new cluster."""
    whole = _undisturbed(folder)
    outcomes = []
    for words, fault in (
        ("kill gcs", "head's GCS killed"),
        ("kill raylet 0", "head's raylet killed"),
        ("hang node 0", "head hanging"),
    ):
        survived = 0
        for number in range(num_faults):
            search = Attacked(_space(), folder / f"{words}-{number}".replace(" ", "-"))
            with loopback_cluster(num_nodes=1) as cluster:
                status = _attack(search, cluster, _has_checkpoints(search), words)
            is_told = status == 1 and "lost the Ray cluster at" in search.printed
            with loopback_cluster(num_nodes=1) as cluster:
                status = _attack(search, cluster)
            survived += is_told and status == 0 and not differences(whole, search, in_order=False)
        outcomes.append(Outcome(fault, num_faults, survived, "status 1 with a message, resumed on a new cluster"))
    return outcomes


def _attack(
    search: Attacked, cluster: LoopbackCluster, is_due: Callable[[LoopbackCluster], bool] | None = None, words: str = ""
) -> int:
    """A session on a cluster, told some words once they are due; its exit status.

    Raises:
        subprocess.TimeoutExpired: if the driver hangs.
    """
    environment = {**cluster.environment, "ABSGD_TUNE_LOST_AFTER_S": LOST_AFTER_S}
    with search.session("--address", cluster.address, environment=environment) as process:
        if is_due is not None and search.wait_until(lambda: is_due(cluster), process):
            cluster.tell(words)
        return process.wait(LIMIT_S)


def _has_checkpoints(search: Attacked) -> Callable[[LoopbackCluster], bool]:
    return lambda _: len(search.checkpoints()) > 1


def _space() -> SearchSpace:
    """The same configurations in every search, however many train at once: what is drawn depends on who ended first."""
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


def _undisturbed(folder: Path) -> Attacked:
    search = Attacked(_space(), folder / "whole-enqueued")
    assert search.finish() == 0, search.printed
    return search


def _past(blow: str) -> str:
    return {"kill": "killed", "hang": "hanging"}[blow]
