"""The messages between trials, the directory and the hosts of cohorts; imports no torch."""

from __future__ import annotations

from typing import NamedTuple

from ray.actor import ActorHandle

from tune_runs.trial.trial_reports import TrialReport


class HostPlacement(NamedTuple):
    """The place of a host: a node and its GPUs."""

    node: str
    """Id of the node."""
    gpus: str | None
    """`CUDA_VISIBLE_DEVICES` of its trials; None on CPU."""


class TrialProcess(NamedTuple):
    """The process that reports for a trial of a cohort."""

    node: str
    """Id of the process's node."""
    pid: int
    """Process id on that node."""


class CohortAccess(NamedTuple):
    """Handles with which a trial is trained in a cohort."""

    directory: ActorHandle
    """The directory that knows the hosts and starts them."""
    size: int
    """Most trials of a host."""
    image_store: ActorHandle
    """Has the images."""


class SeatRequest(NamedTuple):
    """A trial's request to the directory for a host."""

    trial_id: str
    process: TrialProcess
    placement: HostPlacement
    """Place where the host must run."""
    full: list[str]
    """Ids of hosts that had no room for the trial."""
    lost: list[str]
    """Ids of hosts that are gone."""


class HostAnswer(NamedTuple):
    """A host's answer to the request for a trial's next report."""

    report: TrialReport | None = None
    """Next report of the trial; None: there is none yet, or no more."""
    has_ended: bool = False
    """Whether the trial has ended."""
