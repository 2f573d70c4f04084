"""Symmetric cross entropy of each sample, with optional class weights.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from absgd.config.sections import LossConfig
from absgd.errors import UserError
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import cross_entropy

SMALLEST_PREDICTION = 1e-7
"""Lower bound of the predicted probabilities in the reverse cross entropy."""
SMALLEST_TARGET = 1e-4
"""Lower bound of the one-hot targets, so that their logarithm exists."""


def symmetric_cross_entropy(
    logits_BC: Tensor, labels_B: Tensor, alpha: float, beta: float, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return w_y (alpha CE + beta RCE) for each sample, with the reverse cross entropy RCE = -sum_c p_c log(q_c).

    p is the softmax clamped to [1e-7, 1], q the one-hot label clamped to [1e-4, 1], so that RCE is at most 9.22 plus
    the contribution of the clamps.

    >>> import torch
    >>> symmetric_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), alpha=0.0, beta=1.0)
    tensor([4.6052])

    Args:
        logits_BC: class scores, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        alpha: weight of the cross entropy, not negative.
        beta: weight of the reverse cross entropy, not negative.
        class_weights_C: weight w of each class, shape (C,), over the whole loss; None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Raises:
        UserError: if `alpha` or `beta` is out of its range.

    Source: arXiv 1908.06112, symmetric cross entropy learning; the clamps as in the ABSGD repository.
    """
    _check_weights(alpha, beta)
    entropy_B = cross_entropy(logits_BC, labels_B)
    predicted_BC = F.softmax(logits_BC, dim=1).clamp(SMALLEST_PREDICTION, 1.0)
    is_label_BC = torch.zeros_like(logits_BC).scatter_(1, labels_B[:, None], 1.0)  # `one_hot` would wait for the device
    reverse_B = -math.log(SMALLEST_TARGET) * (predicted_BC * (1 - is_label_BC)).sum(dim=1)
    loss_B = alpha * entropy_B + beta * reverse_B
    return loss_B if class_weights_C is None else class_weights_C.to(loss_B.dtype)[labels_B] * loss_B


class SymmetricCrossEntropy(Criterion):
    """`symmetric_cross_entropy` as a base criterion, without state."""

    def __init__(self, alpha: float = 0.1, beta: float = 1.0) -> None:
        """Create a criterion with these weights of its two parts.

        Raises:
            UserError: if one is negative or not finite.
        """
        super().__init__()
        _check_weights(alpha, beta)
        self.alpha = alpha
        self.beta = beta

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `symmetric_cross_entropy`."""
        return symmetric_cross_entropy(logits_BC, labels_B, self.alpha, self.beta, class_weights_C)

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"alpha={self.alpha}, beta={self.beta}"


def build(config: LossConfig, _class_counts: Sequence[int]) -> SymmetricCrossEntropy:
    """Build the criterion of a run, as the table of losses asks for it."""
    return SymmetricCrossEntropy(config.sce_alpha, config.sce_beta)


def _check_weights(alpha: float, beta: float) -> None:
    for name, value in (("sce_alpha", alpha), ("sce_beta", beta)):
        if not 0 <= value < math.inf:
            raise UserError(f"expected `{name}` >= 0, got {value} (loss.{name})")
