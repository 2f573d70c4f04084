"""Whole training steps captured as one CUDA graph and replayed.

A replay costs a few launches, whatever the model, and small models are bound by launches. The graph gathers and
augments the batch and updates the buffer of log u; the learning rate is a tensor.

Source: torch's notes on CUDA graphs, whole-network capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from absgd.training.deferred_step import DeferredStep
from absgd.training.step import BatchOf, EpochSums, EpochTotals, Learner

WARM_UP_STEPS = 3
Replay = Callable[[], object]


class GraphRecorder(Protocol):
    """Captures a step; the tests have an implementation without a GPU."""

    def warm_up(self, body: Replay) -> None:
        """Run `body` a few times, so that libraries set themselves up."""

    def capture(self, body: Replay) -> Replay:
        """Return a function that repeats `body` on the tensors that it uses now; capturing runs nothing."""


class CudaGraphRecorder:
    """Captures CUDA graphs on the run's own stream, or on a new one where the run has the default stream.

    Never on torch's one stream for captures: the workspace of matrix products belongs to a stream, so graphs captured
    on the same one share it while they replay and when one of them is destroyed (pytorch issue 193402).
    """

    def __init__(self) -> None:
        self._stream: torch.cuda.Stream | None = None

    def warm_up(self, body: Replay) -> None:
        """Run `body` on the stream of the capture, as torch requires."""
        here, stream = torch.cuda.current_stream(), self._own_stream()
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                body()
        here.wait_stream(stream)

    def capture(self, body: Replay) -> Replay:
        """Capture `body`; return the graph's `replay`."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: other threads, such as one that pins batches read from disk, do not disturb the capture.
        graphing = torch.cuda.graph(graph, stream=self._own_stream(), capture_error_mode="thread_local")
        # After a failed capture torch alone would leave its stream current.
        with torch.cuda.stream(torch.cuda.current_stream()), graphing:
            body()
        return graph.replay

    def _own_stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            here = torch.cuda.current_stream()
            is_default = here == torch.cuda.default_stream(here.device)
            self._stream = torch.cuda.Stream(here.device) if is_default else here  # type: ignore[no-untyped-call]
        return self._stream


class GraphStep:
    """`DeferredStep` by replay of a graph; a smaller last batch of an epoch runs without one.

    The graph is captured at the first whole batch, and again where the run enters another phase (stage two, class
    weights). Capturing leaves weights, statistics, momentum and log u unchanged.

    Args:
        learner: its optimiser must be fused: no other takes a learning rate that is a tensor.
        sums: sums of the epoch.
        batch_of: makes a batch from a draw by operations on the device alone.
        batch_size: images of a whole batch.
        recorder: captures the step.
    """

    def __init__(
        self, learner: Learner, sums: EpochSums, batch_of: BatchOf, batch_size: int, recorder: GraphRecorder
    ) -> None:
        self._learner, self._sums, self._batch_size = learner, sums, batch_size
        self._eager = DeferredStep(learner, sums, batch_of)
        self._recorder = recorder
        self._phase: tuple[int, bool] | None = None
        self._replay: Replay | None = None
        self._inputs: tuple[Tensor, ...] = ()

    def begin(self, epoch: int) -> None:
        """Call before the first batch of an epoch, with the learning rate set."""
        self._eager.begin(epoch)
        phase = self._learner.objective.phase(epoch)
        if phase != self._phase:
            self._phase, self._replay = phase, None

    def __call__(self, draw: Any) -> None:
        """Train on the batch of a draw, whether or not its numbers are finite."""
        if len(draw[0]) != self._batch_size:
            self._eager(draw)
            return
        if self._replay is None:
            self._replay = self._captured(draw)
        for held, drawn in zip(self._inputs, draw, strict=True):
            held.copy_(drawn)
        self._replay()

    def totals(self) -> EpochTotals:
        """Totals of the epoch; see `DeferredStep.totals`."""
        return self._eager.totals()

    def _captured(self, draw: Any) -> Replay:
        held = self._inputs = draw._make(drawn.clone() for drawn in draw)
        make_capturable(self._learner.optimizer)
        changed = [*self._changed_by_training()]
        before = [value.clone() for value in changed]

        def body() -> None:
            self._eager(held)

        self._recorder.warm_up(body)
        for value, earlier in zip(changed, before, strict=True):
            value.copy_(earlier)
        return self._recorder.capture(body)

    def _changed_by_training(self) -> Iterator[Tensor]:
        """All tensors that a step writes to."""
        yield from (value.detach() for value in self._learner.model.state_dict().values())
        yield from self._learner.objective.state_dict().values()
        for state in self._learner.optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
        yield self._sums.tensor


def make_capturable(optimizer: torch.optim.SGD) -> None:
    """Make learning rates tensors and start momentum from zero instead of from nothing, so that all steps are alike.

    With momentum m and gradient g the first buffer is m * 0 + g = g, as in torch.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if group["momentum"] and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
        if not isinstance(group["lr"], Tensor):
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=group["params"][0].device)
