"""Vector-scaling (VS) loss of each sample: a factor and a summand for each logit, by the class counts.

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
from absgd.losses.cross_entropy import cross_entropy


def vector_scaling_loss(
    logits_BC: Tensor, labels_B: Tensor, factors_C: Tensor, shifts_C: Tensor, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return w_y CE(Delta z + iota) for each sample, Delta and iota by class; predictions use z alone.

    >>> ones_C, log_priors_C = torch.ones(2), torch.tensor([0.75, 0.25]).log()
    >>> vector_scaling_loss(torch.zeros(1, 2), torch.tensor([1]), ones_C, log_priors_C)  # log(4)
    tensor([1.3863])

    Args:
        logits_BC: class scores z, floating, shape (B, C).
        labels_B: class ids y in [0, C), int64, shape (B,).
        factors_C: Delta of each class, any floating dtype, shape (C,).
        shifts_C: iota of each class, any floating dtype, shape (C,).
        class_weights_C: weight w of each class, shape (C,); None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Source: arXiv 2103.01550, equation 2, the VS-loss.
    """
    scaled_BC = factors_C.to(logits_BC.dtype) * logits_BC + shifts_C.to(logits_BC.dtype)
    return cross_entropy(scaled_BC, labels_B, class_weights_C)


class VectorScaling(Criterion):
    """`vector_scaling_loss` as a base criterion with Delta_c = (n_c / n_max)^gamma and iota_c = tau log(n_c / n).

    With gamma = 0 it is the logit-adjusted loss, with tau = 0 the class-dependent temperatures (CDT) of
    arXiv 2001.01385. Both are settings, not state: they are not saved.

    Source: arXiv 2103.01550, section 5; its repository, class_imbalance/losses.py, divides by 1 / Delta.
    """

    factors_C: Tensor
    shifts_C: Tensor

    def __init__(self, class_counts: Sequence[int], gamma: float = 0.3, tau: float = 1.0) -> None:
        """Create a criterion for classes with these numbers of training images.

        Raises:
            UserError: if a class is empty, or `gamma` or `tau` is negative or not finite.
        """
        super().__init__()
        for name, value in (("vs_gamma", gamma), ("vs_tau", tau)):
            if not 0 <= value < math.inf:
                raise UserError(f"expected `{name}` >= 0, got {value} (loss.{name})")
        self.gamma = gamma
        self.tau = tau
        log_priors_C = torch.from_numpy(log_priors(class_counts, "`vs`", "loss.name"))
        self.register_buffer("factors_C", (gamma * (log_priors_C - log_priors_C.max())).exp(), persistent=False)
        self.register_buffer("shifts_C", tau * log_priors_C, persistent=False)

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `vector_scaling_loss`."""
        return vector_scaling_loss(logits_BC, labels_B, self.factors_C, self.shifts_C, class_weights_C)

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"gamma={self.gamma}, tau={self.tau}"


def build(config: LossConfig, class_counts: Sequence[int]) -> VectorScaling:
    """Build the criterion of a run, as the table of losses asks for it."""
    return VectorScaling(class_counts, config.vs_gamma, config.vs_tau)
