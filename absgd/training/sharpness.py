"""Sharpness-aware minimisation (SAM): a step along the gradient at the worst point near the weights.

Each step takes two passes over its batch, so that it takes about twice as long.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from absgd.config.sections import OptimizerConfig
from absgd.datasets import Batch
from absgd.losses.objective import Objective, StepLoss
from absgd.training.evaluation import LogitsOf
from absgd.training.step import Learner

_TINY = 1e-12  # a gradient of zero moves no weight


@dataclasses.dataclass(frozen=True)
class SharpnessAwareLearner(Learner):
    """A learner whose gradient is that of the batch at w + rho g / ||g||, with g the gradient at the weights w.

    All that training remembers changes in the first pass alone, at w: the running statistics of batch norm, as in the
    authors' code, and log u. The second pass has the attention weights of the first, as constants, and dropout masks of
    its own.

    Source: arXiv 2010.01412, Algorithm 1; google-research/sam, which keeps the state of the first pass.
    """

    rho: float

    def backward(self, step: StepLoss, batch: Batch, epoch: int) -> Tensor:
        """See `Learner.backward`; a loss at the worst point that is not finite counts as a norm that is not."""
        self.differentiate(step.loss)
        with _worst_point(self.model, self.rho):
            logits_BC = self.logits_of(batch)
            loss = self.objective.weighted_loss(logits_BC, batch.labels_B, batch.index_B, epoch, step.weights_B)
            self.differentiate(loss)
        is_finite = torch.isfinite(loss.detach())
        norm_is_finite = self.clip()
        return is_finite if norm_is_finite is None else is_finite & norm_is_finite


def build_learner(
    config: OptimizerConfig,
    model: nn.Module,
    logits_of: LogitsOf,
    objective: Objective,
    optimizer: torch.optim.SGD,
) -> Learner:
    """Return the objects that the steps of a run work on, sharpness-aware where `sam_rho` is not 0."""
    parts = (model, logits_of, objective, optimizer, config.grad_clip)
    return SharpnessAwareLearner(*parts, rho=config.sam_rho) if config.sam_rho else Learner(*parts)


@contextlib.contextmanager
def _worst_point(model: nn.Module, rho: float) -> Iterator[None]:
    """Move weights by rho along their gradient, and back; running statistics are afterwards as before, too."""
    moving = [(one, one.grad) for one in model.parameters() if one.grad is not None]
    held = [(one, one.detach().clone()) for one in (*(weight for weight, _ in moving), *model.buffers())]
    with torch.no_grad():
        norms = torch.stack([torch.linalg.vector_norm(gradient) for _, gradient in moving])
        scale = rho / (torch.linalg.vector_norm(norms) + _TINY)
        for weight, gradient in moving:
            weight.add_(gradient * scale)
    try:
        yield
    finally:
        with torch.no_grad():
            for one, before in held:
                one.copy_(before)
