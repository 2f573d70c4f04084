from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import Focal, cross_entropy, focal_loss
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract


def _reference(focal_gamma: float, logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None) -> Float64s:
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        top = max(logits_C)
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        entropy = weight * (top - logits_C[label] + math.log(math.fsum(math.exp(z - top) for z in logits_C)))
        losses.append((1 - math.exp(-entropy)) ** focal_gamma * entropy)
    return np.array(losses)


@pytest.mark.parametrize("focal_gamma", [0.0, 0.5, 1.0, 2.0])
class TestFocal(LossContract):
    entry = "focal"

    @pytest.fixture
    def case(self, focal_gamma: float) -> LossCase:
        def reference(
            logits_BC: Float64s, labels_B: Labels, weights_C: Float64s | None, _counts: Sequence[int]
        ) -> Float64s:
            return _reference(focal_gamma, logits_BC, labels_B, weights_C)

        return LossCase(lambda _class_counts: Focal(focal_gamma), reference)


def test_focal_loss_with_exponent_zero_is_the_cross_entropy() -> None:
    logits_BC, labels_B = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 2)
    weights_C = torch.tensor([0.5, 1.0, 3.0])
    assert torch.equal(focal_loss(logits_BC, labels_B, 0.0, weights_C), cross_entropy(logits_BC, labels_B, weights_C))


def test_focal_loss_puts_class_weights_inside_the_probability() -> None:
    """Twice the weight makes a sample harder, so that its loss more than doubles."""
    logits_BC, labels_B = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    plain, heavy = (focal_loss(logits_BC, labels_B, 1.0, torch.tensor([weight, 1.0])) for weight in (1.0, 2.0))
    entropy = math.log1p(math.exp(-1))
    assert heavy.item() == pytest.approx(2 * entropy * (1 - math.exp(-2 * entropy)))
    assert heavy.item() > 2 * plain.item()


def test_focal_loss_of_a_nearly_certain_sample_keeps_its_digits() -> None:
    logits_BC = torch.tensor([[20.0, 0.0]], dtype=torch.float64)
    entropy = math.log1p(math.exp(-20))
    assert focal_loss(logits_BC, torch.tensor([0]), 2.0).item() == pytest.approx(entropy**3, rel=1e-6)


@pytest.mark.parametrize("focal_gamma", [-0.1, math.nan, math.inf])
def test_focal_refuses_an_exponent_out_of_range(focal_gamma: float) -> None:
    with pytest.raises(UserError, match="expected `focal_gamma` >= 0, got"):
        Focal(focal_gamma)
    with pytest.raises(UserError, match="expected `focal_gamma` >= 0, got"):
        focal_loss(torch.zeros(1, 2), torch.tensor([0]), focal_gamma)
