"""Stand-ins for the capture of CUDA graphs, and trainers that use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from absgd.training import Trainer
from absgd.training.cuda_graph import GraphStep
from absgd.training.optimizer import build_optimizer
from absgd.training.step import EpochSums, Learner


class FakeRecorder:
    """A recorder without a GPU: a replay runs the captured body again, on the same tensors."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def warm_up(self, body: Callable[[], object]) -> None:
        for _ in range(3):
            body()

    def capture(self, body: Callable[[], object]) -> Callable[[], object]:
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            body()

        return replay


class WaitedError(RuntimeError):
    """The host waited for the device."""


def refuse_to_wait(func: Any) -> None:
    """Refuse operations that make the host wait for a device, also on a CPU, where waiting costs nothing."""
    waits = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")
    if func.overloadpacket.__name__ in waits:
        raise WaitedError(str(func))


class Operations(TorchDispatchMode):
    """Record every operation on tensors with its arguments, as a CUDA graph records kernels: no Python is repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        refuse_to_wait(func)
        assert torch.Tag.nondeterministic_seeded not in func.tags, f"{func} draws"
        given = kwargs or {}
        out = func(*args, **given)
        self.noted.append((func, args, given, out))
        return out

    def repeat(self) -> None:
        """Run the operations again: each reads the same tensors and writes into its first outputs."""
        with torch.no_grad():
            for func, args, given, out in self.noted:
                again = func(*args, **given)
                for made, held in zip(pytree.tree_leaves(again), pytree.tree_leaves(out), strict=True):
                    if isinstance(held, torch.Tensor) and made.data_ptr() != held.data_ptr():
                        held.copy_(made)


class OperationRecorder(FakeRecorder):
    """A recorder of operations: Python numbers keep their values from the capture."""

    def capture(self, body: Callable[[], object]) -> Callable[[], object]:
        self.captures += 1
        before = [value.clone() for value in self.state()]
        with Operations() as operations:
            body()
        for value, earlier in zip(self.state(), before, strict=True):
            value.copy_(earlier)  # a CUDA graph is not run while it is captured

        def replay() -> None:
            self.replays += 1
            operations.repeat()

        return replay

    def state(self) -> list[torch.Tensor]:
        """Return the tensors that a step writes to."""
        return list(self.step._changed_by_training())

    step: GraphStep


def parts(trainer: Trainer) -> tuple[Learner, EpochSums]:
    config = trainer.config
    learner = Learner(
        trainer.model, trainer._logits_of, trainer.objective, trainer.optimizer, config.optimizer.grad_clip
    )
    changed_N = torch.tensor(trainer.splits.changed_N, dtype=torch.int64)
    return learner, EpochSums(trainer.splits.num_classes, changed_N)


def with_graph_step(trainer: Trainer, recorder: FakeRecorder) -> Trainer:
    """Return a trainer with a graph step; the optimiser is fused, as `DeviceOptions` sets it with a graph."""
    trainer.optimizer = build_optimizer(trainer.model, trainer.config.optimizer, fused=True)
    step = GraphStep(*parts(trainer), trainer._train.batch_of, trainer.config.batch_size, recorder)
    trainer._step = step
    if isinstance(recorder, OperationRecorder):
        recorder.step = step
    return trainer
