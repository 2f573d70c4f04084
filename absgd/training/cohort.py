"""A cohort: runs that train in one process, a step of each in turn.

Each run gets the numbers that it gets alone: runs share no state. On a GPU each has its own stream, so that steps that
do not fill the device run at the same time, and a captured step costs the host one launch. Runs that begin an epoch
together stay in step, and `absgd.datasets.CommonImages` makes their batches once.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

import torch

ReportT = TypeVar("ReportT")

SETTLE_S = 0.5
"""Time without a new member after which the present ones begin."""
TOGETHER_S = 2.0
"""Longest time that a member waits for others before it begins."""


def prepare_cohort_process() -> None:
    """Call in a cohort's process before CUDA is touched: in CUDA's default of 8 queues, further streams would wait."""
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")


class MemberState(Enum):
    """Activity of a member of a cohort."""

    WAITING = "waiting"
    """The member is ready to start, together with others."""
    TRAINING = "training"
    """The member gets a step in each turn."""
    REPORTED = "reported"
    """The member has reported and not been resumed."""


class RunEnded:
    """Report of a run that has ended."""


@dataclass(frozen=True)
class RunFailed:
    """Report of a run that has ended with an error."""

    error: Exception


@dataclass
class _CohortMember(Generic[ReportT]):
    run: Iterator[ReportT | None]
    stream: torch.cuda.Stream | None
    state: MemberState
    since: float


class Cohort(Generic[ReportT]):
    """Takes turns among runs; not thread-safe.

    A run is an iterator that yields None after each step, and a report, such as the record of an epoch, where it has
    one. Then it pauses until it is resumed, and begins together with the others that pause: as soon as all of them are
    resumed, or after `TOGETHER_S`. A new member waits for others that join within `SETTLE_S`.

    Args:
        device: the runs' device.
        size: largest number of members.
        now: a clock, in seconds.
    """

    def __init__(self, device: torch.device, size: int, now: Callable[[], float] = time.monotonic) -> None:
        self.size, self._now = size, now
        on_gpu = device.type == "cuda"
        self._streams = [torch.cuda.Stream(device) for _ in range(size)] if on_gpu else []  # type: ignore[no-untyped-call]
        """Streams of the members, reused: torch has 32 and hands the same ones out again after that."""
        self._members: dict[str, _CohortMember[ReportT]] = {}
        self._last_joined = -float("inf")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, in the order in which they joined."""
        return tuple(self._members)

    def join(self, name: str, run: Iterator[ReportT | None]) -> None:
        """Add a run; its set-up happens in its first turn."""
        assert len(self._members) < self.size, "the cohort is full"
        assert name not in self._members, name
        taken = [member.stream for member in self._members.values()]
        stream = next((one for one in self._streams if one not in taken), None)
        self._last_joined = self._now()
        self._members[name] = _CohortMember(run, stream, MemberState.WAITING, self._last_joined)

    def resume(self, name: str) -> None:
        """Let a member that has reported continue; without effect on any other member and on one that has left."""
        member = self._members.get(name)
        if member is not None and member.state is MemberState.REPORTED:
            member.state, member.since = MemberState.WAITING, self._now()

    def leave(self, name: str) -> None:
        """End a member's run where it is; without effect if there is no such member."""
        member = self._members.pop(name, None)
        if member is None:
            return
        close = getattr(member.run, "close", None)
        if close is not None:
            with _on(member.stream):
                close()
        _drain(member.stream)

    def turn(self) -> list[tuple[str, ReportT | RunEnded | RunFailed]]:
        """Run one step of every member that trains; return their reports by name. Runs that ended or failed leave."""
        self._begin_waiting()
        reports: list[tuple[str, ReportT | RunEnded | RunFailed]] = []
        for name, member in list(self._members.items()):
            if member.state is MemberState.TRAINING:
                report = _next(member)
                if report is not None:
                    reports.append((name, report))
                    member.state = MemberState.REPORTED
                if isinstance(report, RunEnded | RunFailed):
                    del self._members[name]
                if isinstance(report, RunEnded):
                    _drain(member.stream)
        return reports

    def is_idle(self) -> bool:
        """Whether a turn now would run no step."""
        self._begin_waiting()
        return all(member.state is not MemberState.TRAINING for member in self._members.values())

    def _begin_waiting(self) -> None:
        waiting = [member for member in self._members.values() if member.state is MemberState.WAITING]
        if waiting and self._may_begin(min(member.since for member in waiting)):
            for member in waiting:
                member.state = MemberState.TRAINING

    def _may_begin(self, waiting_since: float) -> bool:
        now = self._now()
        if now - waiting_since >= TOGETHER_S:
            return True
        is_complete = len(self._members) == self.size or now - self._last_joined >= SETTLE_S
        return is_complete and all(member.state is not MemberState.REPORTED for member in self._members.values())


def _next(member: _CohortMember[ReportT]) -> ReportT | RunEnded | RunFailed | None:
    with _on(member.stream):
        try:
            return next(member.run)
        except StopIteration:
            return RunEnded()
        except Exception as error:  # noqa: BLE001 - this run's alone: it is reported, and the others continue
            _forget_locals(error)
            return RunFailed(error)


def _forget_locals(error: BaseException | None) -> None:
    """Free what the frames of an error hold, such as a model that did not fit: the others need the memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _drain(stream: torch.cuda.Stream | None) -> None:
    """Wait for the queued work before the stream is reused."""
    if stream is not None:
        stream.synchronize()
