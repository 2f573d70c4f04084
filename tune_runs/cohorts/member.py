"""A trial whose steps are trained by the process of its cohort: all that it does is to hand on the reports.

Imports no torch: of such processes there are as many as trials.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from contextlib import closing, suppress
from typing import Any, NamedTuple

import ray
from ray import tune
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError

TRIES = 10
"""Hosts that a trial asks, of which each should have room, before it gives up."""
POLL_S = 5.0
"""In which the host answers, whether or not it has a report."""
LEAVE_S = 1.0
"""In which a host hears that a trial has left; Tune waits for a stopped trial 2 s before it starts a new process."""


class CohortLost(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """The process that trained the trial is gone."""


class HostPlacement(NamedTuple):
    """Where a host serves."""

    node: str
    """Id of the node."""
    gpus: str | None
    """`CUDA_VISIBLE_DEVICES` of its trials; None on CPU."""


class CohortAccess(NamedTuple):
    """What a trial needs to be trained in a cohort."""

    directory: ActorHandle
    """Knows the hosts, and starts them."""
    size: int
    """Trials of a host at most."""
    image_store: ActorHandle
    """Has the images."""


class SeatRequest(NamedTuple):
    """What a trial asks of the directory."""

    trial_id: str
    process: tuple[str, int]
    """Its node, and the number of its process there."""
    place: HostPlacement
    full: list[str]
    """Ids of hosts that had no room for it."""
    lost: list[str]
    """Ids of hosts that are gone."""


def train_in_cohort(trial: dict[str, Any], use: CohortAccess) -> None:
    """Report what the host of the trial's cohort trains, epoch by epoch.

    Args:
        trial: from `trial_config`.
        use: of the search.
    """
    with closing(_reports(trial, use)) as reports:  # a stopped trial leaves its cohort
        for report in reports:
            tune.report(report)


def _reports(trial: dict[str, Any], use: CohortAccess) -> Generator[dict[str, Any], None, None]:
    name = f"{trial['trial_id']} {uuid.uuid4().hex[:8]}"
    try:
        host = _joined(name, trial, use)
    except RayActorError as error:
        raise CohortLost(str(error).splitlines()[0]) from None
    try:
        while not (answer := ray.get(host.next_report.remote(name, POLL_S))).has_ended:
            if answer.report is not None:
                yield answer.report
    except RayActorError as error:
        raise CohortLost(str(error).splitlines()[0]) from None
    finally:
        with suppress(RayError):  # the host first: whoever is given the seat shall find room
            ray.get(host.leave.remote(name), timeout=LEAVE_S)
        use.directory.leave.remote(trial["trial_id"], (_place().node, os.getpid()))


def _joined(name: str, trial: dict[str, Any], use: CohortAccess) -> ActorHandle:
    """A host of this place that has taken the trial in."""
    place, full, lost = _place(), list[str](), dict[str, str]()
    for _ in range(TRIES):
        ask = SeatRequest(trial["trial_id"], (place.node, os.getpid()), place, full, list(lost))
        host: ActorHandle = ray.get(use.directory.seat.remote(ask, use))
        try:
            if ray.get(host.join.remote(name, trial, os.getpid())):
                return host
            full.append(host_id(host))
        except RayActorError as error:
            lost[host_id(host)] = str(error).splitlines()[0]
    raise CohortLost(next(reversed(lost.values()), f"{len(full)} hosts, none with room"))


def host_id(host: ActorHandle) -> str:
    """What a host is known by."""
    found: str = host._actor_id.hex()
    return found


def _place() -> HostPlacement:
    context = ray.get_runtime_context()
    has_gpu = bool(context.get_accelerator_ids().get("GPU"))
    return HostPlacement(context.get_node_id(), os.environ.get("CUDA_VISIBLE_DEVICES") if has_gpu else None)
