"""What `benchmarks.cohort_prototypes` compares: ways to train several members for some batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from absgd.training.cuda_graph import CudaGraphRecorder, GraphRecorder, make_capturable
from benchmarks.cohort_members import Fused, Member, Shared, Stack, Stacked, prepare
from benchmarks.packing import Work
from benchmarks.throughput_sides import Clock
from tune_runs.preview.probe_processes import ProbeProcesses, TrainOnRequest, span_s

IN_TURN, STACKED, FUSED, PROCESSES = "in turn", "stacked", "fused", "processes"
STACKS: dict[str, type[Stack]] = {STACKED: Stacked, FUSED: Fused}


class Taken(NamedTuple):
    """One epoch of all members together."""

    seconds: float
    peak_bytes: int
    """Of GPU memory that they have held at most, together; 0 on CPU."""


class Way(NamedTuple):
    """So many members trained in one way."""

    epoch: Callable[[], Taken]
    how: str
    """How the step runs, for people."""


class Ready(NamedTuple):
    """A step that was taken once."""

    step: Callable[[], object]
    how: str
    peak_bytes: int
    stream: torch.cuda.Stream | None = None
    """To run it on; None on CPU."""


def build_ways(shared: Shared, counts: Sequence[int], processes: ProbeProcesses) -> dict[int, dict[str, Way]]:
    """Number of members -> name -> way; the members in turn and the processes are the first of one set of them.

    Args:
        shared: what all members have in common.
        counts: numbers of members.
        processes: each with a `member_of_a_process`.
    """
    alone = [_made_ready(partial(Member, shared, number), shared) for number in range(max(counts))]
    num_batches = shared.work.num_batches
    ways: dict[int, dict[str, Way]] = {}
    for count in counts:
        steps = {IN_TURN: in_turn(alone[:count])}
        for name, kind in STACKS.items():
            steps[name] = in_turn([_made_ready(partial(_stack, kind, shared, count), shared)])
        ways[count] = {
            name: Way(partial(_epoch, step, num_batches, shared.device), step.how) for name, step in steps.items()
        }
        threads = max(torch.get_num_threads() // count, 1)
        how = f"{threads} thread{'s' if threads > 1 else ''} each"
        ways[count][PROCESSES] = Way(partial(_epoch_of_processes, processes, count, threads), how)
    return ways


def _stack(kind: type[Stack], shared: Shared, count: int) -> Stack:
    return kind(shared, [Member(shared, number) for number in range(count)])


def in_turn(all_ready: Sequence[Ready]) -> Ready:
    """One step of each in turn; on a GPU each on its stream, and whatever is queued next waits for all of them."""

    def step() -> None:
        for one in all_ready:
            if one.stream is None:
                one.step()
                continue
            one.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(one.stream):
                one.step()
        for one in all_ready:
            if one.stream is not None:
                torch.cuda.current_stream().wait_stream(one.stream)

    return Ready(step, all_ready[0].how, sum(one.peak_bytes for one in all_ready))


def _made_ready(build: Callable[[], Member | Stack], shared: Shared) -> Ready:
    """`made_ready` on a stream of its own where there is a GPU, with the memory that it took meanwhile."""
    device = shared.device
    if device.type == "cpu":
        return made_ready(build(), None)
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)  # the batch is there for any stream
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_reserved(device)
    with torch.cuda.stream(stream):
        found = made_ready(build(), CudaGraphRecorder())
    torch.cuda.synchronize(device)
    return found._replace(peak_bytes=torch.cuda.max_memory_reserved(device) - before, stream=stream)


def made_ready(built: Member | Stack, recorder: GraphRecorder | None) -> Ready:
    """A step taken once: captured where there is a recorder, as it is where it cannot be captured; `how` tells."""
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
    return Ready(step, how, 0)


def _epoch(ready: Ready, num_batches: int, device: torch.device) -> Taken:
    with Clock(device) as clock:
        for _ in range(num_batches):
            ready.step()
    return Taken(clock.seconds, ready.peak_bytes)


def _epoch_of_processes(processes: ProbeProcesses, count: int, threads: int) -> Taken:
    passes = processes.train([threads] * count)
    return Taken(span_s(passes), sum(one.peak_bytes for one in passes))


def member_of_a_process(work: Work) -> TrainOnRequest:
    """What a process of its own trains: its member, for an epoch each time that it is given a number of threads."""
    torch.set_num_threads(1)
    shared = prepare(work)
    ready = in_turn([_made_ready(partial(Member, shared, 0), shared)])

    def train(threads: int) -> int:
        torch.set_num_threads(threads)
        return _epoch(ready, work.num_batches, shared.device).peak_bytes

    return train
