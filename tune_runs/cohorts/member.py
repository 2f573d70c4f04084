"""The process of a trial that a cohort's host trains: it only passes reports to Ray Tune.

Imports no torch: there are as many such processes as trials.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from contextlib import closing, suppress
from typing import Any

import ray
from ray import tune
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from tune_runs.cohorts.messages import CohortAccess, HostAnswer, HostPlacement, SeatRequest, TrialProcess
from tune_runs.trial.trial_plan import TrialTask, task_of
from tune_runs.trial.trial_reports import TrialReport

TRIES = 10
"""Hosts that a trial asks, each of which should have room, before it gives up."""
POLL_S = 5.0
"""Time in which the host answers, whether or not it has a report."""
LOST_S = 600.0
"""Time without any answer after which a host or the directory counts as lost; starting a host may take minutes."""
LEAVE_S = 1.0
"""Time in which a host learns that a trial has left; Tune gives a stopped trial 2 s, then starts a new process."""


class CohortLost(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """The process that trained the trial is gone."""


def train_in_cohort(ray_config: dict[str, Any], access: CohortAccess) -> None:
    """Report what the host of the trial's cohort trains, epoch by epoch.

    Args:
        ray_config: configuration of the Ray trial, from `TrialTask.to_ray_config`.
        access: to the cohorts of the search.
    """
    with closing(_reports(task_of(ray_config), access)) as reports:  # a stopped trial leaves its cohort
        for report in reports:
            tune.report(report.to_result())


def _reports(task: TrialTask, access: CohortAccess) -> Generator[TrialReport, None, None]:
    name = f"{task.trial_id} {uuid.uuid4().hex[:8]}"
    try:
        host = _joined_host(name, task, access)
    except (RayActorError, GetTimeoutError) as error:
        raise CohortLost(str(error).splitlines()[0]) from None
    try:
        while True:
            answer: HostAnswer = ray.get(host.next_report.remote(name, POLL_S), timeout=LOST_S)
            if answer.has_ended:
                return
            if answer.report is not None:
                yield answer.report
    except (RayActorError, GetTimeoutError) as error:
        raise CohortLost(str(error).splitlines()[0]) from None
    finally:
        with suppress(RayError):  # the host first: the trial that gets the seat next must find room there
            ray.get(host.leave.remote(name), timeout=LEAVE_S)
        access.directory.leave.remote(task.trial_id, TrialProcess(_placement().node, os.getpid()))


def _joined_host(name: str, task: TrialTask, access: CohortAccess) -> ActorHandle:
    """Return a host on this node and GPU that has taken the trial in.

    Raises:
        CohortLost: if none of `TRIES` hosts has.
    """
    placement, full, lost = _placement(), list[str](), dict[str, str]()
    process = TrialProcess(placement.node, os.getpid())
    for _ in range(TRIES):
        request = SeatRequest(task.trial_id, process, placement, full, list(lost))
        host: ActorHandle = ray.get(access.directory.seat.remote(request, access), timeout=LOST_S)
        try:
            if ray.get(host.join.remote(name, task, process.pid), timeout=LOST_S):
                return host
            full.append(host_id(host))
        except (RayActorError, GetTimeoutError) as error:
            lost[host_id(host)] = str(error).splitlines()[0]
    raise CohortLost(next(reversed(lost.values()), f"{len(full)} hosts, none with room"))


def host_id(host: ActorHandle) -> str:
    """Return the id by which a host is known."""
    found: str = host._actor_id.hex()
    return found


def _placement() -> HostPlacement:
    context = ray.get_runtime_context()
    has_gpu = bool(context.get_accelerator_ids().get("GPU"))
    return HostPlacement(context.get_node_id(), os.environ.get("CUDA_VISIBLE_DEVICES") if has_gpu else None)
