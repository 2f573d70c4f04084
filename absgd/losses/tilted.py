"""Tilted empirical risk (TERM) of a batch: the base losses under a logarithm of a mean of exponentials.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.config.sections import LossConfig
from absgd.config.setting_types import SMALLEST_TILT
from absgd.errors import UserError
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import cross_entropy


def tilted_loss(loss_B: Tensor, tilt: float) -> Tensor:
    """Return (1 / t) log mean_i exp(t l_i) of a batch, whose gradient is that of sum_i softmax(t l)_i l_i.

    The objective of ABSGD with lambda = 1 / t is the same over the whole data: its moving average estimates the mean
    over all batches, where TERM takes that of one batch. With gamma = ab_alpha = 1 the two have the same gradient, so
    attention weights over TERM would tilt twice.

    >>> tilted_loss(torch.tensor([0.0, 1.0]), tilt=100.0)  # near the maximum
    tensor(0.9931)

    Args:
        loss_B: base losses l, floating, shape (B,) with B >= 1.
        tilt: t, not 0: positive weighs hard samples more, negative less.

    Returns:
        0-d, in the dtype of `loss_B`, differentiable in the losses.

    Source: arXiv 2007.01162, equation 2; the tilt of whole classes in section 2.3 is not offered: the authors' code for
    it draws each batch from one class.
    """
    scaled_B = tilt * loss_B.to(torch.float64)  # with a small t the digits of l are the last ones of the logarithm
    return ((torch.logsumexp(scaled_B, dim=0) - math.log(len(loss_B))) / tilt).to(loss_B.dtype)


class Tilted(Criterion):
    """`tilted_loss` of the cross entropies of a batch, as the loss of each of its samples, without state.

    The mean over the samples, which training minimises, is then the tilted loss. Several processes share a batch's
    logits, so its samples are those of all of them.
    """

    def __init__(self, tilt: float = 1.0) -> None:
        """Create a criterion with this tilt.

        Raises:
            UserError: if `tilt` is 0, smaller in magnitude than `SMALLEST_TILT`, or not finite.
        """
        super().__init__()
        if not SMALLEST_TILT <= abs(tilt) < math.inf:
            raise UserError(f"expected `term_tilt` of magnitude >= {SMALLEST_TILT}, got {tilt} (loss.term_tilt)")
        self.tilt = tilt

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        """Return the tilted loss of w_y CE, once for each sample: loss_B, shape (B,)."""
        return tilted_loss(cross_entropy(logits_BC, labels_B, class_weights_C), self.tilt).expand(len(labels_B))

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"tilt={self.tilt}"


def build(config: LossConfig, _class_counts: Sequence[int]) -> Tilted:
    """Build the criterion of a run, as the table of losses asks for it."""
    return Tilted(config.term_tilt)
