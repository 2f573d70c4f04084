"""The interface of base criteria: per-sample losses from logits, labels and class weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Criterion(nn.Module, ABC):
    """A base criterion: one loss per sample, never reduced, so that any weights can be applied to it.

    Settings and class counts are arguments of the constructor; memory of samples is kept in registered buffers.
    """

    @abstractmethod
    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, shape (B,), differentiable in the logits.

        Args:
            logits_BC: class scores, floating, shape (B, C).
            labels_B: class ids in [0, C), int64, shape (B,).
            class_weights_C: weight of each class, shape (C,); None weighs all classes by one.
        """


class PruningCriterion(Criterion):
    """A base criterion that decides which training samples are worth keeping, and remembers it.

    The flags `keep_N` (bool, one for each sample of the training set) are saved with the model. All samples are kept
    until the first `refresh`.
    """

    keep_N: Tensor

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        self.register_buffer("keep_N", torch.ones(num_samples, dtype=torch.bool))

    @abstractmethod
    def is_kept(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """keep_B: whether a sample with these logits is worth keeping, bool, shape (B,)."""

    @torch.no_grad()
    def refresh(self, logits_BC: Tensor, labels_B: Tensor, index_B: Tensor) -> None:
        """Set the flags of the samples at `index_B` (int64 positions in the training set) from their predictions."""
        self.keep_N[index_B] = self.is_kept(logits_BC, labels_B)
