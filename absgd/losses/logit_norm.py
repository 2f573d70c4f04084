"""Logits divided by their norm: the class_tau of the noisy-label recipes.

Suffixes: B samples of a batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def divide_by_norm(logits_BC: Tensor, tau: float) -> Tensor:
    """Return z / ||z||_2^tau for each sample; gradient flows through the norm.

    A sample whose logits are all zero is returned unchanged.

    >>> divide_by_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), tau=1.0)
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])

    Args:
        logits_BC: class scores z, floating, shape (B, C).
        tau: exponent, not negative; 0 returns the logits themselves.

    Returns:
        scaled logits in the dtype of `logits_BC`, shape (B, C).

    Source: class_tau of the ABSGD repository's noisy-label code.
    """
    if tau == 0:
        return logits_BC
    norm_B1 = torch.linalg.vector_norm(logits_BC, dim=1, keepdim=True)
    return logits_BC / torch.where(norm_B1 > 0, norm_B1, 1.0) ** tau
