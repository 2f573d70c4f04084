"""The host processes of a search's cohorts: who starts them and where they are; import inside `ray_session` alone.

A host belongs to a node and the GPU that its trials have a part of; their parts are what Ray has set aside for it, so
it asks for nothing itself. The directory that starts them owns them: they end with it, and it with the driver.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_runs.cohort_member import CohortUse, Place
from tune_runs.reports import Answer


class HostProcess:
    """A `CohortHost` as a Ray actor, which alone imports torch: whoever has a handle of it imports this module."""

    def __init__(self, size: int, shelf: ActorHandle, place: Place) -> None:
        if place.gpus is not None:  # before CUDA is touched: Ray hides it from actors that ask for none
            os.environ["CUDA_VISIBLE_DEVICES"] = place.gpus
            os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")  # with CUDA's 8 more streams wait for each other
        from tune_runs.cohort_host import CohortHost
        from tune_runs.cohort_runs import CohortRuns

        self._host = CohortHost(size, CohortRuns(shelf))

    def join(self, name: str, trial: dict[str, Any], process: int) -> bool:
        """As `CohortHost.join`."""
        return self._host.join(name, trial, process)

    def next_report(self, name: str, wait_s: float) -> Answer:
        """As `CohortHost.next_report`."""
        return self._host.next_report(name, wait_s)

    def leave(self, name: str) -> None:
        """As `CohortHost.leave`."""
        self._host.leave(name)


class Directory:
    """Place -> the hosts that were started there. An actor beside the driver."""

    def __init__(self) -> None:
        self._hosts: dict[Place, list[ActorHandle]] = defaultdict(list)

    def hosts(self, place: Place, full: int, lost: list[str], size: int, shelf: ActorHandle) -> list[ActorHandle]:
        """The hosts of a place, with one more where all that there are have no room.

        Args:
            place: where the trial is.
            full: hosts there that have no room.
            lost: ids of hosts that are gone.
            size: trials of a host at most.
            shelf: has the images.
        """
        here = self._hosts[place] = [one for one in self._hosts[place] if one._actor_id.hex() not in lost]
        if len(here) <= full:
            here.append(_started(place, size, shelf))
        return here


def _started(place: Place, size: int, shelf: ActorHandle) -> ActorHandle:
    there = NodeAffinitySchedulingStrategy(place.node, soft=False)
    options = {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": there, "max_concurrency": size + 4}
    started: ActorHandle = ray.remote(HostProcess).options(**options).remote(size, shelf, place)
    return started


@contextmanager
def cohorts(size: int, shelf: ActorHandle) -> Iterator[CohortUse]:
    """What trials need to be trained in cohorts; the hosts end with the block.

    The directory comes up again, empty, where its process is lost, and the hosts with it.

    Args:
        size: trials of a host at most.
        shelf: has the images.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
    directory: ActorHandle = ray.remote(Directory).options(**options).remote()
    try:
        yield CohortUse(directory, size, shelf)
    finally:
        with suppress(RayError):
            ray.kill(directory)
