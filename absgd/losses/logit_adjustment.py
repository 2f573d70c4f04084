"""Logit-adjusted cross entropy of each sample: cross entropy under the class priors of the training set, to a power.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.class_priors import log_priors
from absgd.config.sections import LossConfig
from absgd.errors import UserError
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import cross_entropy, with_largest_at_zero


def logit_adjusted_loss(
    logits_BC: Tensor, labels_B: Tensor, log_priors_C: Tensor, tau: float, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return w_y CE(z + tau log pi) for each sample; predictions use z alone.

    With tau = 1 it is balanced softmax, with tau = 0 the cross entropy.

    >>> logit_adjusted_loss(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([0.75, 0.25]).log(), 1.0)  # log(4)
    tensor([1.3863])

    Args:
        logits_BC: class scores z, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        log_priors_C: logarithm of the share pi of each class in the training images, any floating dtype, shape (C,).
        tau: not negative.
        class_weights_C: weight w of each class, shape (C,); None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Source: arXiv 2007.07314, equation 10, the logit adjusted softmax cross-entropy loss.
    """
    adjusted_BC = with_largest_at_zero(logits_BC) + (tau * log_priors_C).to(logits_BC.dtype)
    return cross_entropy(adjusted_BC, labels_B, class_weights_C)


class LogitAdjustment(Criterion):
    """`logit_adjusted_loss` as a base criterion; the class priors are a setting, not state: they are not saved."""

    log_priors_C: Tensor

    def __init__(self, class_counts: Sequence[int], tau: float = 1.0) -> None:
        """Create a criterion for classes with these numbers of training images.

        Raises:
            UserError: if a class is empty, or `tau` is negative or not finite.
        """
        super().__init__()
        if not 0 <= tau < math.inf:
            raise UserError(f"expected `la_tau` >= 0, got {tau} (loss.la_tau)")
        self.tau = tau
        log_priors_C = torch.from_numpy(log_priors(class_counts, "`logit_adjustment`", "loss.name"))
        self.register_buffer("log_priors_C", log_priors_C, persistent=False)

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `logit_adjusted_loss`."""
        return logit_adjusted_loss(logits_BC, labels_B, self.log_priors_C, self.tau, class_weights_C)

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"tau={self.tau}"


def build(config: LossConfig, class_counts: Sequence[int]) -> LogitAdjustment:
    """Build the criterion of a run, as the table of losses asks for it."""
    return LogitAdjustment(class_counts, config.la_tau)
