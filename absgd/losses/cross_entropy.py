"""Cross entropy of each sample, with optional class weights.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from absgd.config.sections import LossConfig
from absgd.losses.criterion import Criterion


def cross_entropy(logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
    """Return w_y (logsumexp(z) - z_y) for each sample, not divided by the sum of the weights.

    >>> import torch
    >>> cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), torch.tensor([1.0, 2.0]))
    tensor([1.3863])

    Args:
        logits_BC: class scores z, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        class_weights_C: weight w of each class, any floating dtype, shape (C,); None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Raises:
        ValueError, IndexError: by torch, if sizes disagree or a label is not a class.

    Source: the class-balanced cross entropy of arXiv 1901.05555, equation 11, before its mean over the batch.
    """
    weights_C = None if class_weights_C is None else class_weights_C.to(logits_BC.dtype)
    return nn.functional.cross_entropy(logits_BC, labels_B, weight=weights_C, reduction="none")


def with_largest_at_zero(logits_BC: Tensor) -> Tensor:
    """Return the logits of each sample minus their maximum, which gets no gradient.

    The cross entropy stays as it is, and what is then added to large logits keeps its digits.
    """
    return logits_BC - logits_BC.detach().amax(dim=1, keepdim=True)


class CrossEntropy(Criterion):
    """`cross_entropy` as a base criterion, without settings or state."""

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `cross_entropy`."""
        return cross_entropy(logits_BC, labels_B, class_weights_C)


def build(_config: LossConfig, _class_counts: Sequence[int]) -> CrossEntropy:
    """Build the criterion of a run, as the table of losses asks for it."""
    return CrossEntropy()
