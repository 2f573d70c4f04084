"""Focal loss of each sample, with class weights inside.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.config.sections import LossConfig
from absgd.errors import UserError
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import cross_entropy


def focal_loss(
    logits_BC: Tensor, labels_B: Tensor, focal_gamma: float, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return (1 - p_y)^focal_gamma * l for each sample, with l = w_y CE and p_y = exp(-l).

    Without class weights, p_y is the probability of the label. With them it is not, as in the code that the ABSGD
    authors build on: samples of a class with a large weight count as harder.

    >>> focal_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), focal_gamma=1.0)  # log(2) / 2
    tensor([0.3466])

    Args:
        logits_BC: class scores, floating, shape (B, C).
        labels_B: class ids in [0, C), int64, shape (B,).
        focal_gamma: exponent, not negative; 0 is the cross entropy.
        class_weights_C: weight w of each class, shape (C,); None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Raises:
        UserError: if `focal_gamma` is out of its range.

    Source: arXiv 1708.02002, equation 4; with class weights: focal loss of the LDAM-DRW repository, losses.py.
    """
    _check_gamma(focal_gamma)
    entropy_B = cross_entropy(logits_BC, labels_B, class_weights_C)
    # Where 1 - p_y is 0 the slope of a power below 1 is infinite; the floor makes the product with l = 0 zero.
    miss_B = (-torch.expm1(-entropy_B)).clamp_min(torch.finfo(entropy_B.dtype).tiny)
    return miss_B**focal_gamma * entropy_B


class Focal(Criterion):
    """`focal_loss` as a base criterion, without state."""

    def __init__(self, focal_gamma: float = 1.0) -> None:
        """Create a criterion with this exponent.

        Raises:
            UserError: if `focal_gamma` is negative or not finite.
        """
        super().__init__()
        _check_gamma(focal_gamma)
        self.focal_gamma = focal_gamma

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `focal_loss`."""
        return focal_loss(logits_BC, labels_B, self.focal_gamma, class_weights_C)

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"focal_gamma={self.focal_gamma}"


def build(config: LossConfig, _class_counts: Sequence[int]) -> Focal:
    """Build the criterion of a run, as the table of losses asks for it."""
    return Focal(config.focal_gamma)


def _check_gamma(focal_gamma: float) -> None:
    if not 0 <= focal_gamma < math.inf:
        raise UserError(f"expected `focal_gamma` >= 0, got {focal_gamma} (loss.focal_gamma)")
