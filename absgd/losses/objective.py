"""The training loss of one run: base criterion, class weights and attention weights, each from its epoch on.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from absgd.losses.attention import AttentionWeights
from absgd.losses.criterion import Criterion


class StepLoss(NamedTuple):
    """The loss of one step and what it was made of."""

    loss: Tensor
    """sum_i p_i l_i, 0-d, with gradient."""
    base_loss_B: Tensor
    """l_i: base losses, class weights inside; detached."""
    weights_B: Tensor
    """p_i: attention weights, 1 / B before stage two; detached."""


class Objective(nn.Module):
    """Training loss in two stages: the mean base loss, then sum_i p_i l_i with the attention weights p.

    Its `state_dict` holds what training changes (log u and the criterion's own buffers), not the settings.

    >>> from absgd.losses import CrossEntropy
    >>> objective = Objective(CrossEntropy(), attention=AttentionWeights(5.0, 0.7, 0.5), switch_epoch=160)
    >>> objective.stage(159), objective.stage(160)
    (1, 2)

    Source: arXiv 2012.06951, the two-stage algorithm; deferred class weights: arXiv 1906.07413, section 3.2.
    """

    class_weights_C: Tensor | None

    def __init__(
        self,
        criterion: Criterion,
        *,
        class_weights_C: Tensor | None = None,
        class_weights_from: int = 0,
        attention: AttentionWeights | None = None,
        switch_epoch: int = 0,
    ) -> None:
        """A loss at the start of its run.

        Args:
            criterion: the base criterion.
            class_weights_C: weight of each class, shape (C,); None for none.
            class_weights_from: 0-based first epoch at which class weights act.
            attention: weights over the base losses; None keeps the plain mean throughout.
            switch_epoch: 0-based first epoch of stage two, where there are attention weights.
        """
        super().__init__()
        self.criterion = criterion
        self.attention = attention
        self.switch_epoch = switch_epoch
        self.class_weights_from = class_weights_from
        self.register_buffer("class_weights_C", class_weights_C, persistent=False)

    def forward(self, logits_BC: Tensor, labels_B: Tensor, epoch: int) -> StepLoss:
        """The loss of one training step; in stage two the batch enters log u, so never call it to evaluate.

        Args:
            logits_BC: class scores, floating, shape (B, C).
            labels_B: class ids, int64, shape (B,).
            epoch: 0-based epoch of the step.
        """
        base_loss_B: Tensor = self.criterion(logits_BC, labels_B, self._class_weights_at(epoch))
        if self.attention is None or self.stage(epoch) == 1:
            weights_B = torch.full_like(base_loss_B, 1 / base_loss_B.numel())
            return StepLoss(base_loss_B.mean(), base_loss_B.detach(), weights_B)
        weights_B = self.attention(base_loss_B)
        return StepLoss((weights_B * base_loss_B).sum(), base_loss_B.detach(), weights_B)

    def stage(self, epoch: int) -> Literal[1, 2]:
        """Stage of a 0-based epoch; a loss without attention weights stays in stage one."""
        return 1 if self.attention is None or epoch < self.switch_epoch else 2

    @property
    def log_u(self) -> float | None:
        """log u, read from the device; None before the first step of stage two."""
        if self.attention is None:
            return None
        log_u = float(self.attention.log_u)
        return None if log_u == -math.inf else log_u

    def _class_weights_at(self, epoch: int) -> Tensor | None:
        return self.class_weights_C if epoch >= self.class_weights_from else None
