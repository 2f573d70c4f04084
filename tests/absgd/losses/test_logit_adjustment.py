from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import BalancedSoftmax, LogitAdjustment, cross_entropy
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract

TAU = 1.5


def _reference(
    logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None, class_counts: Sequence[int]
) -> Float64s:
    shifts = [TAU * math.log(count / sum(class_counts)) for count in class_counts]
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        relative = [z - logits_C[label] + shift - shifts[label] for z, shift in zip(logits_C, shifts, strict=True)]
        top = max(relative)
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * (top + math.log(math.fsum(math.exp(z - top) for z in relative))))
    return np.array(losses)


class TestLogitAdjustment(LossContract):
    entry = "logit_adjustment"

    @pytest.fixture
    def case(self) -> LossCase:
        return LossCase(lambda class_counts: LogitAdjustment(class_counts, TAU), _reference)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    logits_BC = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return logits_BC, torch.tensor([0, 1, 2] * 2)


def test_logit_adjustment_with_tau_0_is_the_cross_entropy(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(LogitAdjustment([50, 5, 1], tau=0.0)(*batch), cross_entropy(*batch))


def test_logit_adjustment_with_tau_1_is_balanced_softmax(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(LogitAdjustment([50, 5, 1])(*batch), BalancedSoftmax([50, 5, 1])(*batch))


def test_logit_adjustment_priors_are_not_saved() -> None:
    assert not LogitAdjustment([3, 4]).state_dict()


def test_logit_adjustment_refuses_an_empty_class() -> None:
    with pytest.raises(UserError, match=r"at least one training image .*`logit_adjustment`, got none in \[1\]"):
        LogitAdjustment([3, 0])


@pytest.mark.parametrize("tau", [-1.0, math.inf, math.nan])
def test_logit_adjustment_refuses_a_tau_out_of_range(tau: float) -> None:
    with pytest.raises(UserError, match=r"expected `la_tau` >= 0, got .* \(loss\.la_tau\)"):
        LogitAdjustment([3, 4], tau)
