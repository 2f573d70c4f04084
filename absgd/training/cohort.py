"""A cohort: runs that train side by side in one process, a step of each in turn.

Each run gets the numbers that it would get alone: nothing of it is mixed with another. On a GPU each has a stream of
its own, so that steps which do not fill the device run at the same time, and a captured step costs the host one launch.
Runs that are let go together into an epoch stay in step, and `absgd.datasets.CommonImages` makes their batches once.
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

Word = TypeVar("Word")

SETTLE_S = 0.5
"""Without a newcomer for so long, those who are there begin."""
TOGETHER_S = 2.0
"""Nobody waits longer than this for others before it begins."""


def prepare_cohort_process() -> None:
    """To be called in the process of a cohort before CUDA is touched: with its own 8 queues more streams would wait."""
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")


class MemberState(Enum):
    """What a member of a cohort does."""

    WAITS = "waits"
    """To be let go, with others."""
    TRAINS = "trains"
    """It has a turn in each round."""
    SPOKE = "spoke"
    """It said something and has not been asked to go on."""


class RunEnded:
    """What is said of a run that came to its end."""


@dataclass(frozen=True)
class RunFailed:
    """What is said of a run that ended with an error."""

    error: Exception


@dataclass
class _CohortMember(Generic[Word]):
    run: Iterator[Word | None]
    stream: torch.cuda.Stream | None
    state: MemberState
    since: float


class Cohort(Generic[Word]):
    """Takes turns among runs; not thread-safe.

    A run is an iterator that gives None after each step, and a word, such as the record of an epoch, where it has
    something to say. Then it rests until it is asked to go on, and is let go together with the others who rest: as soon
    as none of them is still to be asked, or after `TOGETHER_S`. A newcomer waits for others who come within `SETTLE_S`.

    Args:
        device: on which the runs train.
        size: members at most.
        now: a clock in seconds.
    """

    def __init__(self, device: torch.device, size: int, now: Callable[[], float] = time.monotonic) -> None:
        self.size, self._now = size, now
        on_gpu = device.type == "cuda"
        self._streams = [torch.cuda.Stream(device) for _ in range(size)] if on_gpu else []  # type: ignore[no-untyped-call]
        """Of its members, given on: torch has 32, and hands them out again after that many."""
        self._members: dict[str, _CohortMember[Word]] = {}
        self._last_came = -float("inf")

    @property
    def names(self) -> tuple[str, ...]:
        """Of its members, in the order in which they came."""
        return tuple(self._members)

    def join(self, name: str, run: Iterator[Word | None]) -> None:
        """Take in a run; what it does before its first step it does in its first turn."""
        assert len(self._members) < self.size, "the cohort is full"
        assert name not in self._members, name
        taken = [member.stream for member in self._members.values()]
        stream = next((one for one in self._streams if one not in taken), None)
        self._last_came = self._now()
        self._members[name] = _CohortMember(run, stream, MemberState.WAITS, self._last_came)

    def resume(self, name: str) -> None:
        """Let a member that has said something go on; no other, and nobody who has left."""
        member = self._members.get(name)
        if member is not None and member.state is MemberState.SPOKE:
            member.state, member.since = MemberState.WAITS, self._now()

    def leave(self, name: str) -> None:
        """End a member's run where it is; nothing where there is none of this name."""
        member = self._members.pop(name, None)
        if member is None:
            return
        close = getattr(member.run, "close", None)
        if close is not None:
            with _on(member.stream):
                close()
        _drain(member.stream)

    def turn(self) -> list[tuple[str, Word | RunEnded | RunFailed]]:
        """One step of every member that trains; what was said, by whom. Who ended or failed is no member any more."""
        self._let_go()
        said: list[tuple[str, Word | RunEnded | RunFailed]] = []
        for name, member in list(self._members.items()):
            if member.state is MemberState.TRAINS:
                word = _next(member)
                if word is not None:
                    said.append((name, word))
                    member.state = MemberState.SPOKE
                if isinstance(word, RunEnded | RunFailed):
                    del self._members[name]
                if isinstance(word, RunEnded):
                    _drain(member.stream)
        return said

    def is_idle(self) -> bool:
        """Whether a turn now would train nobody."""
        self._let_go()
        return all(member.state is not MemberState.TRAINS for member in self._members.values())

    def _let_go(self) -> None:
        waiting = [member for member in self._members.values() if member.state is MemberState.WAITS]
        if waiting and self._may_begin(min(member.since for member in waiting)):
            for member in waiting:
                member.state = MemberState.TRAINS

    def _may_begin(self, waiting_since: float) -> bool:
        now = self._now()
        if now - waiting_since >= TOGETHER_S:
            return True
        is_complete = len(self._members) == self.size or now - self._last_came >= SETTLE_S
        return is_complete and all(member.state is not MemberState.SPOKE for member in self._members.values())


def _next(member: _CohortMember[Word]) -> Word | RunEnded | RunFailed | None:
    with _on(member.stream):
        try:
            return next(member.run)
        except StopIteration:
            return RunEnded()
        except Exception as error:  # noqa: BLE001 - of this run alone: it is said, and the others go on
            _forget_locals(error)
            return RunFailed(error)


def _forget_locals(error: BaseException | None) -> None:
    """Let go of what the frames of an error hold, such as a model that had no room: the others need it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _drain(stream: torch.cuda.Stream | None) -> None:
    """Wait for what is queued, before the stream is given on."""
    if stream is not None:
        stream.synchronize()
