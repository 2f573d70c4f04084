"""Truncated generalised cross entropy of each sample, and the choice of the samples it keeps.

Suffixes: B samples of a batch, C classes, N samples of the training set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.config.sections import LossConfig
from absgd.errors import UserError
from absgd.losses.criterion import PruningCriterion
from absgd.losses.cross_entropy import cross_entropy


def truncated_cross_entropy(
    logits_BC: Tensor, labels_B: Tensor, q: float, k: float, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return w_y ((1 - p_y^q) / q - (1 - k^q) / q) for each sample, whether it is kept or not.

    The loss is negative where p_y > k, and without class weights in [(k^q - 1) / q, k^q / q] for any logits.

    >>> truncated_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), q=0.7, k=0.5)
    tensor([0.])

    Args:
        logits_BC: class scores, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        q: exponent in (0, 1]; as q approaches 0 the loss approaches the cross entropy plus log(k).
        k: threshold of p_y in (0, 1).
        class_weights_C: weight w of each class, shape (C,), over the whole loss; None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Raises:
        UserError: if `q` or `k` is out of its range.

    Source: arXiv 1805.07836, the truncated L_q loss; written as in the ABSGD repository.
    """
    _check_settings(q, k)
    loss_B = _generalised(cross_entropy(logits_BC, labels_B), q) - _generalised_at(k, q)
    return loss_B if class_weights_C is None else class_weights_C.to(loss_B.dtype)[labels_B] * loss_B


def is_kept(logits_BC: Tensor, labels_B: Tensor, q: float, k: float) -> Tensor:
    """Return whether (1 - p_y^q) / q < (1 - k^q) / q, which is p_y > k, for each sample: v_i of the paper.

    >>> is_kept(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), q=0.7, k=0.5)
    tensor([ True, False])

    Args:
        logits_BC: class scores, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        q: exponent in (0, 1].
        k: threshold of p_y in (0, 1).

    Returns:
        keep_B, bool, shape (B,), without gradient.

    Raises:
        UserError: if `q` or `k` is out of its range.

    Source: arXiv 1805.07836, the pruning step of the truncated L_q loss.
    """
    _check_settings(q, k)
    return _generalised(cross_entropy(logits_BC.detach(), labels_B), q) < _generalised_at(k, q)


class TruncatedCrossEntropy(PruningCriterion):
    """`truncated_cross_entropy` as a base criterion, with `is_kept` deciding which training samples take part."""

    def __init__(self, num_samples: int, q: float = 0.7, k: float = 0.5) -> None:
        """Create a criterion that keeps all of its training samples.

        Raises:
            UserError: if `q` is not in (0, 1] or `k` not in (0, 1).
        """
        super().__init__(num_samples)
        _check_settings(q, k)
        self.q = q
        self.k = k

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `truncated_cross_entropy`; the caller applies `keep_N`."""
        return truncated_cross_entropy(logits_BC, labels_B, self.q, self.k, class_weights_C)

    def is_kept(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return keep_B, as in the function `is_kept`."""
        return is_kept(logits_BC, labels_B, self.q, self.k)

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"q={self.q}, k={self.k}"


def build(config: LossConfig, class_counts: Sequence[int]) -> TruncatedCrossEntropy:
    """Build the criterion of a run, as the table of losses asks for it."""
    return TruncatedCrossEntropy(sum(class_counts), config.tce_q, config.tce_k)


def _generalised(entropy_B: Tensor, q: float) -> Tensor:
    """Return (1 - p^q) / q from -log p, accurate for p near 1 and for small q too."""
    return -torch.expm1(-q * entropy_B) / q


def _generalised_at(p: float, q: float) -> float:
    return -math.expm1(q * math.log(p)) / q


def _check_settings(q: float, k: float) -> None:
    if not 0 < q <= 1:
        raise UserError(f"expected `tce_q` in (0, 1], got {q} (loss.tce_q)")
    if not 0 < k < 1:
        raise UserError(f"expected `tce_k` in (0, 1), got {k} (loss.tce_k)")
