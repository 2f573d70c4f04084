"""The loss of the published package `absgd` 0.0.1, with the same interface and the same values for its users."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from absgd.losses.attention import attention_weights


class ABLoss(nn.Module):
    """Attention weights over any unreduced criterion, switched on by counting epochs.

    Call `updateLambda` once per epoch. The weights act after `milestone` calls, but not before the first; until then
    the loss is the plain mean. Values equal those of the published package where those are finite; here log u is
    float64, cannot overflow, has no autograd history, and is saved with the module, like the count of epochs.

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
        """Create the loss at the start of its run.

        Args:
            mylambda: lambda, non-zero: positive weighs hard samples more, negative less.
            milestone: number of calls of `updateLambda` after which the weights act; 0 and 1 both mean one.
            criterion: unreduced losses from (output, target), at least one per sample; by default the cross entropy.
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
            output: first argument of the criterion, usually class scores of shape (B, C).
            target: second argument of the criterion, usually class ids of shape (B,).

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
        # If the criterion gives several losses per sample, g is a mean over all of them, the sum is one over samples.
        return (weights * losses.flatten()).sum() * (losses.numel() / len(losses))

    @property
    def ablambda(self) -> float | None:
        """lambda once the weights act, None before."""
        return self.mylambda if self.step >= max(self.milestone, 1) else None

    def updateLambda(self) -> None:  # noqa: N802 - the published name
        """Count an epoch."""
        self.step += 1

    def get_extra_state(self) -> dict[str, int]:
        """Return the state that `state_dict` saves in addition to log u."""
        return {"step": self.step}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Restore the state that `get_extra_state` returned."""
        self.step = state["step"]
