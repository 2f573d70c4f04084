"""Ways to train several members for some batches: in turn, as one stacked model, in processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from absgd.training.cuda_graph import CudaGraphRecorder, GraphRecorder, make_capturable
from benchmarks.cohort_prototypes.cohort_members import (
    FusedStack,
    LockstepMember,
    LockstepSetup,
    MemberStack,
    VmapStack,
    prepare_lockstep,
)
from benchmarks.harness.workloads import EpochWorkload, Stopwatch
from tune_runs.preview.probe_processes import ProbeProcesses, TrainOnRequest, span_s

IN_TURN, STACKED, FUSED, PROCESSES = "in turn", "stacked", "fused", "processes"
STACKS: dict[str, type[MemberStack]] = {STACKED: VmapStack, FUSED: FusedStack}


class LockstepEpoch(NamedTuple):
    """One epoch of all members together."""

    seconds: float
    peak_bytes: int
    """Largest GPU memory of all members together; 0 on CPU."""


class LockstepWay(NamedTuple):
    """A number of members, trained in one way."""

    epoch: Callable[[], LockstepEpoch]
    how: str
    """How the step runs, for people."""


class WarmStep(NamedTuple):
    """A step that has run once."""

    step: Callable[[], object]
    how: str
    peak_bytes: int
    stream: torch.cuda.Stream | None = None
    """Stream to run the step on; None on CPU."""


def build_ways(
    setup: LockstepSetup, counts: Sequence[int], processes: ProbeProcesses
) -> dict[int, dict[str, LockstepWay]]:
    """Return number of members -> name -> way; every number uses the first of the same members and processes.

    Args:
        setup: common to all members.
        counts: numbers of members.
        processes: each with a `member_of_a_process`.
    """
    alone = [_warmed_up(partial(LockstepMember, setup, number), setup) for number in range(max(counts))]
    num_batches = setup.work.num_batches
    ways: dict[int, dict[str, LockstepWay]] = {}
    for count in counts:
        steps = {IN_TURN: in_turn(alone[:count])}
        for name, kind in STACKS.items():
            steps[name] = in_turn([_warmed_up(partial(_build_stack, kind, setup, count), setup)])
        ways[count] = {
            name: LockstepWay(partial(_epoch, step, num_batches, setup.device), step.how)
            for name, step in steps.items()
        }
        threads = max(torch.get_num_threads() // count, 1)
        how = f"{threads} thread{'s' if threads > 1 else ''} each"
        ways[count][PROCESSES] = LockstepWay(partial(_epoch_of_processes, processes, count, threads), how)
    return ways


def _build_stack(kind: type[MemberStack], setup: LockstepSetup, count: int) -> MemberStack:
    return kind(setup, [LockstepMember(setup, number) for number in range(count)])


def in_turn(steps: Sequence[WarmStep]) -> WarmStep:
    """Combine steps into one that takes each in turn; on a GPU each on its stream, and later work waits for all."""

    def step() -> None:
        for one in steps:
            if one.stream is None:
                one.step()
                continue
            one.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(one.stream):
                one.step()
        for one in steps:
            if one.stream is not None:
                torch.cuda.current_stream().wait_stream(one.stream)

    return WarmStep(step, steps[0].how, sum(one.peak_bytes for one in steps))


def _warmed_up(build: Callable[[], LockstepMember | MemberStack], setup: LockstepSetup) -> WarmStep:
    """Build and warm up a step, on a GPU on its own stream and with the memory that it takes."""
    device = setup.device
    if device.type == "cpu":
        return warmed_up(build(), None)
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)  # the batch must be complete before another stream reads it
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_reserved(device)
    with torch.cuda.stream(stream):
        found = warmed_up(build(), CudaGraphRecorder())
    torch.cuda.synchronize(device)
    return found._replace(peak_bytes=torch.cuda.max_memory_reserved(device) - before, stream=stream)


def warmed_up(built: LockstepMember | MemberStack, recorder: GraphRecorder | None) -> WarmStep:
    """Run a step once: captured by the recorder where there is one and the step can be captured, else eagerly."""
    step: Callable[[], object] = built.step
    how = "eager"
    if recorder is not None:
        make_capturable(built.optimizer)
        recorder.warm_up(built.step)
        try:
            step, how = recorder.capture(built.step), "graph"
        except RuntimeError as error:
            how = f"eager, as it cannot be captured: {str(error).splitlines()[0]}"
    step()
    return WarmStep(step, how, 0)


def _epoch(warm: WarmStep, num_batches: int, device: torch.device) -> LockstepEpoch:
    with Stopwatch(device) as stopwatch:
        for _ in range(num_batches):
            warm.step()
    return LockstepEpoch(stopwatch.seconds, warm.peak_bytes)


def _epoch_of_processes(processes: ProbeProcesses, count: int, threads: int) -> LockstepEpoch:
    passes = processes.train([threads] * count)
    return LockstepEpoch(span_s(passes), sum(one.peak_bytes for one in passes))


def member_of_a_process(work: EpochWorkload) -> TrainOnRequest:
    """Build a member in its own process; the returned function trains an epoch with a given number of threads."""
    torch.set_num_threads(1)
    setup = prepare_lockstep(work)
    warm = in_turn([_warmed_up(partial(LockstepMember, setup, 0), setup)])

    def train(threads: int) -> int:
        torch.set_num_threads(threads)
        return _epoch(warm, work.num_batches, setup.device).peak_bytes

    return train
