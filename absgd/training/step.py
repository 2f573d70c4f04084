"""The exact training step, the sums of an epoch on the device, and the error of a run that diverges.

Suffixes: B samples of a batch, C classes, N samples of the training set; a trailing 2: labels unchanged (0) or
changed by noise (1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from absgd.counts import after_epochs, plural
from absgd.datasets import Batch
from absgd.losses.objective import Objective, StepLoss
from absgd.training.evaluation import LogitsOf
from absgd.training.optimizer import clip_gradient

NEVER = float("inf")
LOSS, NORM = "training loss", "gradient norm"
BatchOf = Callable[[Any], Batch]
"""Makes the batch of a step from its draw, by operations on the device alone."""


class Diverged(RuntimeError):  # noqa: N818 - names a status, not a fault
    """A loss, or the norm of the gradient to be clipped, was no longer finite.

    The optimiser has not used it, except under `DeviceOptions.deferred_checks`, which finds it at the end of the epoch:
    then the weights are spoilt.
    """

    def __init__(self, epoch: int, step: int, what: str = LOSS) -> None:
        super().__init__(f"non-finite {what} {after_epochs(epoch)} and {plural(step, 'step')}")
        self.epoch, self.step, self.what = epoch, step, what

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, int, str]]:
        return Diverged, (self.epoch, self.step, self.what)


@dataclasses.dataclass(frozen=True)
class Learner:
    """The objects that a step works on."""

    model: nn.Module
    logits_of: LogitsOf
    """Calls the model in the run's precision on the shares of all ranks."""
    objective: Objective
    optimizer: torch.optim.SGD
    grad_clip: float | None

    def loss(self, batch: Batch, epoch: int) -> StepLoss:
        """Training loss of a batch; updates log u."""
        step: StepLoss = self.objective(self.logits_of(batch), batch.labels_B, batch.index_B, epoch)
        return step

    def backward(self, step: StepLoss, batch: Batch, epoch: int) -> Tensor | None:  # noqa: ARG002 - SAM needs all
        """Compute and clip gradients; return whether their norm was finite (0-d, bool), None without clipping."""
        self.differentiate(step.loss)
        return self.clip()

    def differentiate(self, loss: Tensor) -> None:
        """Replace the gradients of the weights by those of a loss."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)

    def clip(self) -> Tensor | None:
        """Clip gradients; return whether their norm was finite (0-d, bool), None without clipping."""
        return None if self.grad_clip is None else clip_gradient(self.model, self.grad_clip)


class EpochSums:
    """Sums of an epoch: float64 in one tensor on the device, read in one transfer."""

    def __init__(self, num_classes: int, changed_N: Tensor) -> None:
        """Sums of zero.

        Args:
            num_classes: C.
            changed_N: whether noise changed the label of each training sample, int64 0 or 1, on the device.
        """
        self._changed_N = changed_N
        self.tensor = torch.zeros(4 + 4 * num_classes, dtype=torch.float64, device=changed_N.device)
        """All sums: one storage for a captured graph to write to."""
        self._loss_sum, self._steps = self.tensor[0], self.tensor[1]
        self._first_bad = {LOSS: self.tensor[2], NORM: self.tensor[3]}
        self._weight_C2, self._count_C2 = self.tensor[4:].view(2, -1)

    def reset(self) -> None:
        """Set the sums to zero for a new epoch."""
        self.tensor.zero_()
        for first in self._first_bad.values():
            first.fill_(NEVER)

    def add(self, step: StepLoss, batch: Batch) -> None:
        """Add a finished step."""
        scaled_B = step.weights_B.double() * len(batch.labels_B)
        cell_B = 2 * batch.labels_B + self._changed_N[batch.index_B]
        self._loss_sum += step.base_loss_B.double().sum()
        self._weight_C2.index_add_(0, cell_B, scaled_B)
        self._count_C2.index_add_(0, cell_B, torch.ones_like(scaled_B))
        self._steps += 1

    def note(self, what: str, is_finite: Tensor) -> None:
        """Remember the current step if it is the first whose number (`LOSS` or `NORM`) is not finite."""
        first = self._first_bad[what]
        first.copy_(torch.minimum(first, torch.where(is_finite, NEVER, self._steps)))

    def read(self) -> EpochTotals:
        """Totals since `reset`, in one transfer from the device."""
        values = self.tensor.cpu()
        loss_sum, steps, bad_loss, bad_norm = values[:4].tolist()
        weight_C2, count_C2 = values[4:].view(2, -1, 2)
        bad = min((bad_loss, LOSS), (bad_norm, NORM), key=lambda pair: pair[0])  # in the same step the loss comes first
        clean, changed = _means(weight_C2.sum(dim=0), count_C2.sum(dim=0))
        return EpochTotals(
            loss_sum=loss_sum,
            images=int(count_C2.sum()),
            mean_weight=_means(weight_C2.sum(dim=1), count_C2.sum(dim=1)),
            mean_weight_clean=clean,
            mean_weight_changed=changed,
            steps=int(steps),
            first_bad=None if bad[0] == NEVER else (int(bad[0]), bad[1]),
        )


class EpochTotals(NamedTuple):
    """Totals of an epoch of training."""

    loss_sum: float
    images: int
    mean_weight: tuple[float | None, ...]
    """Mean of B p_i over the samples of each class; None for a class without samples."""
    mean_weight_clean: float | None
    mean_weight_changed: float | None
    steps: int
    first_bad: tuple[int, str] | None = None
    """First step whose loss or norm was not finite, and which of the two; set by deferred checks only."""


class TrainingStep(Protocol):
    """Trains steps; all implementations give the same totals."""

    def begin(self, epoch: int) -> None:
        """Call before the first step of an epoch, with the learning rate set."""

    def __call__(self, draw: Any) -> None:
        """Train on the batch of a draw."""

    def totals(self) -> EpochTotals:
        """Totals of the epoch."""


class ExactStep:
    """Forward, loss, backward and update; loss and norm are checked before the optimiser sees them.

    On a GPU each step waits for the device; `DeferredStep` does not.
    """

    def __init__(self, learner: Learner, sums: EpochSums, batch_of: BatchOf) -> None:
        self._learner, self._sums, self._batch_of = learner, sums, batch_of
        self._epoch = self._step = 0

    def begin(self, epoch: int) -> None:
        """Call before the first batch of an epoch."""
        self._epoch, self._step = epoch, 0
        self._sums.reset()

    def __call__(self, draw: Any) -> None:
        """Train on the batch of a draw.

        Raises:
            Diverged: if the loss, or the norm of a gradient to be clipped, is not finite.
        """
        learner = self._learner
        batch = self._batch_of(draw)
        step = learner.loss(batch, self._epoch)
        if not torch.isfinite(step.loss):
            raise Diverged(self._epoch, self._step)
        is_finite = learner.backward(step, batch, self._epoch)
        if is_finite is not None and not is_finite:
            raise Diverged(self._epoch, self._step, NORM)
        learner.optimizer.step()
        self._sums.add(step, batch)
        self._step += 1

    def totals(self) -> EpochTotals:
        """Totals of the epoch."""
        return self._sums.read()


def _means(sums: Tensor, counts: Tensor) -> tuple[float | None, ...]:
    return tuple(total / count if count else None for total, count in zip(sums.tolist(), counts.tolist(), strict=True))
