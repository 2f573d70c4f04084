"""Label-distribution-aware margin loss of each sample, with class weights inside.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.class_priors import check_no_class_is_empty
from absgd.config.sections import LossConfig
from absgd.errors import UserError
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import cross_entropy, with_largest_at_zero


def ldam_margins(class_counts: Sequence[int], max_margin: float) -> Tensor:
    """Return the margins m_c = n_c^(-1/4), scaled so that the rarest class has `max_margin`.

    >>> ldam_margins([625, 16], max_margin=0.5)
    tensor([0.2000, 0.5000], dtype=torch.float64)

    Args:
        class_counts: training images n_c of each class, all positive.
        max_margin: positive.

    Returns:
        margins_C, float64 on the CPU, shape (C,).

    Raises:
        UserError: if a class is empty or `max_margin` is not positive.

    Source: arXiv 1906.07413, the class-dependent margins; their scaling: LDAM loss of its repository, losses.py.
    """
    _check_positive("ldam_max_margin", max_margin)
    check_no_class_is_empty(class_counts, "the margins of `ldam`", "loss.name")
    root_C = torch.tensor(class_counts, dtype=torch.float64) ** -0.25
    return root_C * (max_margin / root_C.max())


def ldam_loss(
    logits_BC: Tensor, labels_B: Tensor, margins_C: Tensor, scale: float, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return w_y CE(s z') for each sample, where z' is z with the margin m_y subtracted from the label's own logit.

    >>> ldam_loss(torch.tensor([[0.1, 0.0]]), torch.tensor([0]), torch.tensor([0.1, 0.5]), scale=30.0)  # log(2)
    tensor([0.6931])

    Args:
        logits_BC: class scores z, floating, shape (B, C); cosines in [-1, 1] from a cosine classifier.
        labels_B: class ids y in [0, C), int64, shape (B,).
        margins_C: margin m of each class, any floating dtype, shape (C,).
        scale: factor s, positive.
        class_weights_C: weight w of each class, shape (C,); None weighs all classes by one.

    Returns:
        loss_B in the dtype of `logits_BC`, shape (B,), differentiable in the logits.

    Source: arXiv 1906.07413, the LDAM loss; scale and class weights: LDAM loss of its repository, losses.py.
    """
    margin_B1 = margins_C.to(logits_BC.dtype)[labels_B].unsqueeze(1)
    moved_BC = with_largest_at_zero(logits_BC).scatter_add(1, labels_B.unsqueeze(1), -margin_B1)
    return cross_entropy(scale * moved_BC, labels_B, class_weights_C)


class Ldam(Criterion):
    """`ldam_loss` as a base criterion, with margins set by the class counts.

    The model must end in a cosine classifier. Margins are settings, not state: they are not saved.
    """

    margins_C: Tensor

    def __init__(self, class_counts: Sequence[int], max_margin: float = 0.5, scale: float = 30.0) -> None:
        """Create a criterion for classes with these numbers of training images.

        Raises:
            UserError: if a class is empty, or `max_margin` or `scale` is not positive.
        """
        super().__init__()
        _check_positive("ldam_scale", scale)
        self.max_margin = max_margin
        self.scale = scale
        self.register_buffer("margins_C", ldam_margins(class_counts, max_margin), persistent=False)

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return loss_B, as in `ldam_loss`."""
        return ldam_loss(logits_BC, labels_B, self.margins_C, self.scale, class_weights_C)

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"max_margin={self.max_margin}, scale={self.scale}"


def build(config: LossConfig, class_counts: Sequence[int]) -> Ldam:
    """Build the criterion of a run, as the table of losses asks for it."""
    return Ldam(class_counts, config.ldam_max_margin, config.ldam_scale)


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise UserError(f"expected `{name}` > 0, got {value} (loss.{name})")
