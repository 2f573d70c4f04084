"""The host processes of a search's cohorts: who starts them and where they are; import inside `ray_session` alone.

A host belongs to a node and the GPU that its trials have a part of; their parts are what Ray has set aside for it, so
it asks for nothing itself. The directory that starts them owns them: they end with it, and it with the driver.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_runs.cohorts.member import CohortAccess, HostPlacement, SeatRequest, host_id
from tune_runs.trial.reports import HostAnswer


class HostProcess:
    """A `CohortHost` as a Ray actor, which alone imports torch: whoever has a handle of it imports this module."""

    def __init__(self, size: int, image_store: ActorHandle, place: HostPlacement) -> None:
        if place.gpus is not None:  # before CUDA is touched: Ray hides it from actors that ask for none
            os.environ["CUDA_VISIBLE_DEVICES"] = place.gpus
        from absgd.training.cohort import prepare_cohort_process
        from tune_runs.cohorts.cohort_runs import CohortRuns
        from tune_runs.cohorts.host import CohortHost

        prepare_cohort_process()
        self._host = CohortHost(size, CohortRuns(image_store))

    def join(self, name: str, trial: dict[str, Any], process: int) -> bool:
        """As `CohortHost.join`."""
        return self._host.join(name, trial, process)

    def next_report(self, name: str, wait_s: float) -> HostAnswer:
        """As `CohortHost.next_report`."""
        return self._host.next_report(name, wait_s)

    def leave(self, name: str) -> None:
        """As `CohortHost.leave`."""
        self._host.leave(name)


class HostDirectory:
    """Which trial has a place in which host. An actor beside the driver.

    Seats are counted here, so that trials which come together need not ask one host after another, and their hosts
    start together. A host has the last word: it knows who is still there.
    """

    def __init__(self) -> None:
        self._hosts: dict[HostPlacement, list[_HostSeats]] = defaultdict(list)

    def seat(self, ask: SeatRequest, use: CohortAccess) -> ActorHandle:
        """A host that has room for a trial; another one where none has.

        Args:
            ask: who it is for; a seat that the same trial, or its process, had before is free.
            use: of the search.
        """
        self.leave(ask.trial_id, ask.process)
        here = self._hosts[ask.place] = [one for one in self._hosts[ask.place] if one.id not in ask.lost]
        found = next((one for one in here if len(one.taken) < use.size and one.id not in ask.full), None)
        if found is None:
            found = _HostSeats(_started(ask.place, use.size, use.image_store), {})
            here.append(found)
        found.taken[ask.trial_id] = ask.process
        return found.host

    def leave(self, trial_id: str, process: tuple[str, int]) -> None:
        """Free the seat of a trial, and that of a process."""
        for hosts in self._hosts.values():
            for one in hosts:
                for taker in [key for key, value in one.taken.items() if trial_id == key or process == value]:
                    del one.taken[taker]


@dataclass
class _HostSeats:
    host: ActorHandle
    taken: dict[str, tuple[str, int]]
    """Trial id -> node and number of its process."""

    @property
    def id(self) -> str:
        return host_id(self.host)


def _started(place: HostPlacement, size: int, image_store: ActorHandle) -> ActorHandle:
    there = NodeAffinitySchedulingStrategy(place.node, soft=False)
    options = {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": there, "max_concurrency": size + 4}
    started: ActorHandle = ray.remote(HostProcess).options(**options).remote(size, image_store, place)
    return started


@contextmanager
def running_cohorts(size: int, image_store: ActorHandle) -> Iterator[CohortAccess]:
    """What trials need to be trained in cohorts; the hosts end with the block.

    The directory comes up again, empty, where its process is lost, and the hosts with it.

    Args:
        size: trials of a host at most.
        image_store: has the images.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
    directory: ActorHandle = ray.remote(HostDirectory).options(**options).remote()
    try:
        yield CohortAccess(directory, size, image_store)
    finally:
        with suppress(RayError):
            ray.kill(directory)
