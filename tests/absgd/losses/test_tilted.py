from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import AttentionWeights, CrossEntropy, Objective, Tilted, tilted_loss
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract, random_batch

TILT = 0.7


def _reference(
    logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None, _class_counts: Sequence[int]
) -> Float64s:
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        top = max(logits_C)
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * (top - logits_C[label] + math.log(math.fsum(math.exp(z - top) for z in logits_C))))
    most = max(losses)
    mean = math.fsum(math.exp(TILT * (loss - most)) for loss in losses) / len(losses)
    return np.full(len(losses), most + math.log(mean) / TILT)


class TestTilted(LossContract):
    entry = "term"

    @pytest.fixture
    def case(self) -> LossCase:
        return LossCase(lambda _class_counts: Tilted(TILT), _reference)


@pytest.mark.parametrize("tilt", [0.5, -0.5, 3.0])
def test_tilted_loss_has_the_gradient_of_abs_weights_of_one_batch(tilt: float) -> None:
    """With gamma = ab_alpha = 1 the moving average is the batch's own mean, and lambda = 1 / t."""
    logits_BC, labels_B = map(torch.from_numpy, random_batch())
    gradients = []
    for objective in (
        Objective(Tilted(tilt)),
        Objective(CrossEntropy(), attention=AttentionWeights(1 / tilt, gamma=1.0, ab_alpha=1.0)),
    ):
        own_BC = logits_BC.clone().requires_grad_()
        objective(own_BC, labels_B, torch.arange(len(labels_B)), epoch=0).loss.backward()
        gradients.append(own_BC.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


def test_tilted_loss_lies_between_mean_and_extremes() -> None:
    loss_B = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    assert tilted_loss(loss_B, 1e-6).item() == pytest.approx(loss_B.mean().item(), rel=1e-6)
    assert tilted_loss(loss_B, 1e6).item() == pytest.approx(2.0, rel=1e-5)
    assert tilted_loss(loss_B, -1e6).item() == pytest.approx(0.1, rel=1e-4)


def test_tilted_loss_in_float32_keeps_its_digits_under_a_small_tilt() -> None:
    loss_B = torch.tensor([0.1, 0.5, 2.0])
    assert tilted_loss(loss_B, 1e-6).item() == pytest.approx(loss_B.mean().item(), rel=1e-6)


@pytest.mark.parametrize("tilt", [0.0, 1e-9, math.inf, math.nan])
def test_tilted_refuses_a_tilt_without_effect(tilt: float) -> None:
    with pytest.raises(UserError, match=r"expected `term_tilt` of magnitude >= 1e-06, got .* \(loss\.term_tilt\)"):
        Tilted(tilt)
