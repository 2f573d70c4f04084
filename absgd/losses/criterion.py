"""What every base criterion is: per-sample losses from logits, labels and class weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Criterion(nn.Module, ABC):
    """A base criterion: one loss per sample, never reduced, so that any weights can stand over it.

    Settings and class counts belong to the constructor, per-sample memory to registered buffers.
    """

    @abstractmethod
    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """loss_B, shape (B,), differentiable in the logits.

        Args:
            logits_BC: class scores, floating, shape (B, C).
            labels_B: class ids in [0, C), int64, shape (B,).
            class_weights_C: weight of each class, shape (C,); None weighs all classes by one.
        """
