"""The loss of the published package `absgd` 0.0.1, for its users: the same interface and the same values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from absgd.losses.attention import attention_weights


class ABLoss(nn.Module):
    """Attention weights over any unreduced criterion, switched on by counting epochs.

    Call `updateLambda` once per epoch. The weights act once it was called `milestone` times, at least once; before
    that the loss is the plain mean. The published package gives the same values where its own are finite; here log u
    is float64, free of overflow and of autograd history, and is saved with the module, as is the count of epochs.

    >>> criterion = ABLoss(5.0, milestone=1, abgamma=1.0)
    >>> criterion.updateLambda()
    >>> criterion(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(0.6931)

    Source: arXiv 2012.06951; interface of the package `absgd` 0.0.1 on the package index.
    """

    log_u: Tensor

    def __init__(
        self,
        mylambda: float,
        milestone: int = 0,
        criterion: Callable[[Any, Any], Tensor] | None = None,
        abgamma: float = 0.9,
        abalpha: float = 1,
    ) -> None:
        """A loss at the start of its run.

        Args:
            mylambda: lambda, non-zero: positive weighs hard samples more, negative less.
            milestone: calls of `updateLambda` after which the weights act; 0 and 1 both mean the first.
            criterion: losses of each sample from (output, target), not reduced; by default the cross entropy.
            abgamma: gamma, weight of the newest batch in the moving average, in (0, 1].
            abalpha: abAlpha, in (0, 1].

        Raises:
            ValueError: if a setting is out of its range.
        """
        super().__init__()
        if mylambda == 0 or math.isnan(mylambda):
            raise ValueError(f"expected `mylambda` != 0, got {mylambda}")
        for name, value in (("abgamma", abgamma), ("abalpha", abalpha)):
            if not 0 < value <= 1:
                raise ValueError(f"expected `{name}` in (0, 1], got {value}")
        self.mylambda = mylambda
        self.milestone = milestone
        self.criterion = nn.CrossEntropyLoss(reduction="none") if criterion is None else criterion
        self.abgamma = abgamma
        self.abalpha = abalpha
        self.step = 0
        """Calls of `updateLambda` so far."""
        self.register_buffer("log_u", torch.tensor(-math.inf, dtype=torch.float64))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """sum_i p_i l_i, 0-d, with gradient; once the weights act, the batch enters log u.

        Args:
            output: what the criterion takes first, usually class scores of shape (B, C).
            target: what it takes second, usually class ids of shape (B,).

        Raises:
            ValueError: if the criterion reduces its losses to one number.
        """
        losses: Tensor = self.criterion(output, target)
        if losses.dim() == 0:
            raise ValueError("expected a criterion with one loss for each sample (reduction='none'), got one number")
        if self.ablambda is None:
            return losses.sum() / len(losses)
        state = self.log_u.to(losses.device, torch.float64)
        weights, log_u = attention_weights(losses.flatten(), state, self.ablambda, self.abgamma, self.abalpha)
        self.log_u = log_u
        # A criterion with several losses for each sample: g is a mean over all of them, the sum one over samples.
        return (weights * losses.flatten()).sum() * (losses.numel() / len(losses))

    @property
    def ablambda(self) -> float | None:
        """lambda once the weights act, None before."""
        return self.mylambda if self.step >= max(self.milestone, 1) else None

    def updateLambda(self) -> None:  # noqa: N802 - the published name
        """Count an epoch."""
        self.step += 1

    def get_extra_state(self) -> dict[str, int]:
        """What `state_dict` saves beside log u."""
        return {"step": self.step}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """What `load_state_dict` restores beside log u."""
        self.step = state["step"]
