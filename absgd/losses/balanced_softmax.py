"""Balanced softmax of each sample: cross entropy under the class frequencies of the training set.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.class_priors import check_no_class_is_empty
from absgd.config.sections import LossConfig
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import cross_entropy, with_largest_at_zero


def balanced_softmax_loss(
    logits_BC: Tensor, labels_B: Tensor, log_counts_C: Tensor, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return CE(z + log n), weighted by w_y, for each sample; predictions use z alone.

    >>> counts_C = torch.tensor([3.0, 1.0])
    >>> balanced_softmax_loss(torch.zeros(1, 2), torch.tensor([1]), counts_C.log())  # log(4)
    tensor([1.3863])

    Args:
        logits_BC: class scores z, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        log_counts_C: logarithm of the training images n of each class, any floating dtype, shape (C,).
        class_weights_C: weight w of each class, shape (C,); None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Source: arXiv 2007.10740, Balanced Softmax.
    """
    return cross_entropy(with_largest_at_zero(logits_BC) + log_counts_C.to(logits_BC.dtype), labels_B, class_weights_C)


class BalancedSoftmax(Criterion):
    """`balanced_softmax_loss` as a base criterion; the class counts are a setting, not state: they are not saved."""

    log_counts_C: Tensor

    def __init__(self, class_counts: Sequence[int]) -> None:
        """Create a criterion for classes with these numbers of training images.

        Raises:
            UserError: if a class is empty.
        """
        super().__init__()
        check_no_class_is_empty(class_counts, "`balanced_softmax`", "loss.name")
        log_counts_C = torch.tensor(class_counts, dtype=torch.float64).log()
        self.register_buffer("log_counts_C", log_counts_C, persistent=False)

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `balanced_softmax_loss`."""
        return balanced_softmax_loss(logits_BC, labels_B, self.log_counts_C, class_weights_C)


def build(_config: LossConfig, class_counts: Sequence[int]) -> BalancedSoftmax:
    """Build the criterion of a run, as the table of losses asks for it."""
    return BalancedSoftmax(class_counts)
