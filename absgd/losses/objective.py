"""The training loss of one run: base criterion, class weights, pruning and attention weights, each from its epoch on.

Suffixes: B samples of a batch, C classes, N samples of the training set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from absgd.losses.attention import AttentionWeights
from absgd.losses.criterion import Criterion, PruningCriterion
from absgd.losses.logit_norm import divide_by_norm

LOG_U = "attention.log_u"
"""Name of log u in the state of an attentive objective; a state of stage one may lack it."""


class StepLoss(NamedTuple):
    """The loss of one step and its parts."""

    loss: Tensor
    """sum_i p_i l_i, 0-d, with gradient."""
    base_loss_B: Tensor
    """l_i: base losses, class weights inside; detached."""
    weights_B: Tensor
    """p_i: attention weights, 1 / B before stage two; 0 for the samples that pruning leaves out; detached."""


class Prediction(NamedTuple):
    """Predictions of a model in evaluation mode for some training samples."""

    logits_BC: Tensor
    labels_B: Tensor
    index_B: Tensor
    """Positions in the training set, int64."""


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
        class_tau: float = 0.0,
        prune_from: int | None = None,
    ) -> None:
        """Create the loss at the start of its run.

        Args:
            criterion: the base criterion.
            class_weights_C: weight of each class, shape (C,); None weighs all classes by one.
            class_weights_from: 0-based first epoch at which class weights act.
            attention: attention weights of the base losses; None keeps the plain mean throughout.
            switch_epoch: 0-based first epoch of stage two, where there are attention weights.
            class_tau: logits are divided by their norm to this power before the criterion sees them.
            prune_from: 0-based epoch from which a pruning criterion chooses its samples anew each epoch; None: never.
        """
        super().__init__()
        assert prune_from is None or isinstance(criterion, PruningCriterion), "only a pruning criterion can prune"
        self.criterion = criterion
        self.attention = attention
        self.switch_epoch = switch_epoch
        self.class_weights_from = class_weights_from
        self.class_tau = class_tau
        self.prune_from = prune_from
        self.register_buffer("class_weights_C", class_weights_C, persistent=False)

    def start_epoch(self, epoch: int, predict: Callable[[], Iterable[Prediction]]) -> None:
        """Renew the choice of kept samples, if the loss prunes; call it before the first step of `epoch`.

        The logits are the model's own, not divided by `class_tau`: with a norm of 1 no p_y would reach tce's threshold.

        Args:
            epoch: 0-based epoch about to be trained.
            predict: returns the predictions for every training sample, unaugmented; called only if they are needed.
        """
        if self.prune_from is None or epoch < self.prune_from:
            return
        assert isinstance(self.criterion, PruningCriterion)
        for prediction in predict():
            self.criterion.refresh(*prediction)

    def forward(self, logits_BC: Tensor, labels_B: Tensor, index_B: Tensor, epoch: int) -> StepLoss:
        """Compute the loss of one training step; in stage two the batch is added to log u, so never evaluate with it.

        Args:
            logits_BC: class scores, floating, shape (B, C).
            labels_B: class ids, int64, shape (B,).
            index_B: positions of the samples in the training set, int64, shape (B,).
            epoch: 0-based epoch of the step.
        """
        base_loss_B = self._base_loss(logits_BC, labels_B, index_B, epoch)
        if self.attention is None or self.stage(epoch) == 1:
            weights_B = torch.full_like(base_loss_B, 1 / base_loss_B.numel())
            loss = base_loss_B.mean()
        else:
            weights_B = self.attention(base_loss_B)
            loss = (weights_B * base_loss_B).sum()
        # A pruned sample has no loss whatever its weight, so its weight counts as 0.
        kept_B = self._kept(index_B)
        return StepLoss(loss, base_loss_B.detach(), weights_B if kept_B is None else weights_B * kept_B)

    def weighted_loss(
        self, logits_BC: Tensor, labels_B: Tensor, index_B: Tensor, epoch: int, weights_B: Tensor
    ) -> Tensor:
        """Return sum_i p_i l_i for given weights p, 0-d, with gradient; log u is neither read nor changed.

        Args:
            logits_BC, labels_B, index_B, epoch: as in `forward`.
            weights_B: floating, shape (B,).
        """
        return (weights_B * self._base_loss(logits_BC, labels_B, index_B, epoch)).sum()

    def stage(self, epoch: int) -> Literal[1, 2]:
        """Stage of a 0-based epoch; a loss without attention weights stays in stage one."""
        return 1 if self.attention is None or epoch < self.switch_epoch else 2

    def phase(self, epoch: int) -> tuple[int, bool]:
        """Return the stage of a 0-based epoch and whether class weights act; equal phases run the same operations."""
        return self.stage(epoch), epoch >= self.class_weights_from

    @property
    def log_u(self) -> float | None:
        """log u, read from the device; None before the first step of stage two."""
        if self.attention is None:
            return None
        log_u = float(self.attention.log_u)
        return None if log_u == -math.inf else log_u

    @property
    def kept_fraction(self) -> float | None:
        """Fraction of the training samples kept, read from the device; None for a loss that cannot prune."""
        if not isinstance(self.criterion, PruningCriterion):
            return None
        return int(self.criterion.keep_N.sum()) / self.criterion.keep_N.numel()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a `state_dict` of this loss, or of the same loss without attention weights at the end of stage one.

        Raises:
            RuntimeError: by torch, if the state is another loss's.
        """
        if self.attention is not None and LOG_U not in state_dict:
            state_dict = {**state_dict, LOG_U: torch.full_like(self.attention.log_u, -math.inf)}
        return super().load_state_dict(state_dict, strict, assign)

    def _base_loss(self, logits_BC: Tensor, labels_B: Tensor, index_B: Tensor, epoch: int) -> Tensor:
        class_weights_C = self.class_weights_C if epoch >= self.class_weights_from else None
        loss_B: Tensor = self.criterion(divide_by_norm(logits_BC, self.class_tau), labels_B, class_weights_C)
        kept_B = self._kept(index_B)
        return loss_B if kept_B is None else loss_B * kept_B

    def _kept(self, index_B: Tensor) -> Tensor | None:
        """keep_B: whether samples are kept, bool; None for a loss that cannot prune."""
        return self.criterion.keep_N[index_B] if isinstance(self.criterion, PruningCriterion) else None
