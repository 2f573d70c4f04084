"""The hosts of a search's cohorts: which process starts them and where they run; import inside `ray_session` only.

A host belongs to a node and to the GPU that its trials share. Ray reserves their parts for the trials, so the host
itself requests no resources. The directory starts the hosts and owns them: they end with it, and it ends with
the driver.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_runs.cohorts.member import host_id
from tune_runs.cohorts.messages import CohortAccess, HostAnswer, HostPlacement, SeatRequest, TrialProcess
from tune_runs.trial.trial_plan import TrialTask


class HostProcess:
    """A `CohortHost` as a Ray actor; torch is imported only in it: every holder of a handle imports this module."""

    def __init__(self, size: int, image_store: ActorHandle, placement: HostPlacement) -> None:
        if placement.gpus is not None:  # before CUDA is touched: Ray hides the GPUs from actors that request none
            os.environ["CUDA_VISIBLE_DEVICES"] = placement.gpus
        from absgd.output_streams import prepare_process
        from absgd.training.cohort import prepare_cohort_process
        from tune_runs.cohorts.cohort_runs import CohortRuns
        from tune_runs.cohorts.host import CohortHost

        prepare_process()
        prepare_cohort_process()
        self._host = CohortHost(size, CohortRuns(image_store))

    def join(self, name: str, task: TrialTask, process: int) -> bool:
        """Forward to `CohortHost.join`."""
        return self._host.join(name, task, process)

    def next_report(self, name: str, wait_s: float) -> HostAnswer:
        """Forward to `CohortHost.next_report`."""
        return self._host.next_report(name, wait_s)

    def leave(self, name: str) -> None:
        """Forward to `CohortHost.leave`."""
        self._host.leave(name)


class HostDirectory:
    """Assigns each trial a seat on a host. An actor on the driver's node.

    Seats are counted here, so that trials that start together need not ask one host after another, and their hosts
    start together. The host itself decides: it knows which of its trials still run.
    """

    def __init__(self) -> None:
        self._hosts: dict[HostPlacement, list[_HostSeats]] = defaultdict(list)

    def seat(self, request: SeatRequest, access: CohortAccess) -> ActorHandle:
        """Return a host with room for a trial; start one where none has.

        Args:
            request: of the trial; a seat that the same trial or the same process had before becomes free.
            access: to the cohorts of the search.
        """
        self.leave(request.trial_id, request.process)
        here = [host for host in self._hosts[request.placement] if host.id not in request.lost]
        self._hosts[request.placement] = here
        found = next((host for host in here if len(host.taken) < access.size and host.id not in request.full), None)
        if found is None:
            found = _HostSeats(_started_host(request.placement, access), {})
            here.append(found)
        found.taken[request.trial_id] = request.process
        return found.actor

    def leave(self, trial_id: str, process: TrialProcess) -> None:
        """Free the seat of a trial, and the seat of a process."""
        for hosts in self._hosts.values():
            for host in hosts:
                for occupant in [key for key, value in host.taken.items() if trial_id == key or process == value]:
                    del host.taken[occupant]


@dataclass
class _HostSeats:
    actor: ActorHandle
    taken: dict[str, TrialProcess]
    """Trial id -> the trial's own process."""

    @property
    def id(self) -> str:
        return host_id(self.actor)


def _started_host(placement: HostPlacement, access: CohortAccess) -> ActorHandle:
    there = NodeAffinitySchedulingStrategy(placement.node, soft=False)
    options = {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": there, "max_concurrency": access.size + 4}
    remote = ray.remote(HostProcess).options(**options)
    started: ActorHandle = remote.remote(access.size, access.image_store, placement)
    return started


@contextmanager
def running_cohorts(size: int, image_store: ActorHandle) -> Iterator[CohortAccess]:
    """Give trials access to cohorts; the hosts end with the block.

    Where the process of the directory is lost, Ray starts it again, empty; the hosts are lost with it.

    Args:
        size: most trials of a host.
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
