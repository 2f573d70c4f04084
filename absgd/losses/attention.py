"""The ABSGD attention weights: a pure function in the log domain, and the module that keeps its state.

Suffixes: B samples of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def attention_weights(
    loss_B: Tensor, state: Tensor, lam: float, gamma: float, ab_alpha: float
) -> tuple[Tensor, Tensor]:
    """Return the weights of a batch's samples and the updated moving average, without overflow.

    With g = mean_i exp(l_i / lam) and u = (1 - gamma) u_old + gamma ab_alpha g, the weight of sample i is
    p_i = exp(l_i / lam) / (u B). Only the logarithms of g and u are computed, in float64, so every weight lies in
    [0, 1 / (gamma ab_alpha)] for any finite loss. The first batch's weights sum to 1 / (gamma ab_alpha), later
    sums settle near 1 / ab_alpha.

    >>> start = torch.tensor(-torch.inf, dtype=torch.float64)
    >>> attention_weights(torch.tensor([0.0, 1e4]), start, lam=1e-3, gamma=1.0, ab_alpha=1.0)[0]
    tensor([0., 1.])

    Args:
        loss_B: per-sample base losses, any floating dtype, shape (B,) with B >= 1; gradient does not flow through.
        state: log u, 0-d float64 on the device of `loss_B`; -inf before the first batch.
        lam: lambda, non-zero: positive weighs hard samples more, negative less.
        gamma: weight of the newest batch in u, in (0, 1].
        ab_alpha: abAlpha, in (0, 1].

    Returns:
        weights_B in the dtype of `loss_B`, and the new log u as a new 0-d float64 tensor.

    Raises:
        ValueError: if a setting is out of its range or `loss_B` is not a batch.

    Source: arXiv 2012.06951, the moving-average estimator and the weights of the two-stage algorithm.
    """
    _check_settings(lam, gamma, ab_alpha)
    if loss_B.dim() != 1 or loss_B.numel() == 0:
        raise ValueError(f"expected `loss_B` with one loss for each of at least one sample, got {tuple(loss_B.shape)}")
    scaled_B = loss_B.detach().to(torch.float64) / lam
    log_share = math.log(gamma) + math.log(ab_alpha) - math.log(loss_B.numel())
    log_newest = torch.logsumexp(scaled_B, dim=0) + log_share
    new_state = torch.logaddexp(state.detach() + _log_share_kept(gamma), log_newest)
    weights_B = torch.exp(scaled_B - new_state) / loss_B.numel()
    return weights_B.to(loss_B.dtype), new_state


class AttentionWeights(nn.Module):
    """`attention_weights` with log u kept from batch to batch in the buffer `log_u`, saved with the model.

    The buffer stays float64 when the module is cast to another dtype, and carries no autograd history. With
    `add_uniform` the weights are p_i + 1 / B, as in the authors' code for noisy labels; log u is the same.

    >>> AttentionWeights(lam=5.0, gamma=0.5, ab_alpha=0.5)(torch.zeros(2))
    tensor([2., 2.])
    """

    log_u: Tensor

    def __init__(self, lam: float, gamma: float, ab_alpha: float, *, add_uniform: bool = False) -> None:
        """Create weights that have seen no batch yet.

        Raises:
            ValueError: if a setting is out of the range that `attention_weights` states.
        """
        super().__init__()
        _check_settings(lam, gamma, ab_alpha)
        self.lam = lam
        self.gamma = gamma
        self.ab_alpha = ab_alpha
        self.add_uniform = add_uniform
        self.register_buffer("log_u", torch.tensor(-math.inf, dtype=torch.float64))

    def forward(self, loss_B: Tensor) -> Tensor:
        """Return weights_B of one batch, in the dtype of `loss_B`, and add the batch to log u."""
        weights_B, log_u = attention_weights(loss_B, self.log_u, self.lam, self.gamma, self.ab_alpha)
        # In place, like the statistics of batch normalisation: a captured CUDA graph needs the same storage.
        self.log_u.copy_(log_u)
        return weights_B + 1 / weights_B.numel() if self.add_uniform else weights_B

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"lam={self.lam}, gamma={self.gamma}, ab_alpha={self.ab_alpha}, add_uniform={self.add_uniform}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AttentionWeights:
        exact = self.log_u
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.log_u.dtype != exact.dtype:
            self.log_u = exact.to(self.log_u.device)
        return self


def _log_share_kept(gamma: float) -> float:
    return math.log1p(-gamma) if gamma < 1 else -math.inf


def _check_settings(lam: float, gamma: float, ab_alpha: float) -> None:
    if lam == 0 or math.isnan(lam):
        raise ValueError(f"expected `lam` != 0, got {lam}")
    for name, value in (("gamma", gamma), ("ab_alpha", ab_alpha)):
        if not 0 < value <= 1:
            raise ValueError(f"expected `{name}` in (0, 1], got {value}")
