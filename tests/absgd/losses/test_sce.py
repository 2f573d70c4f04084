from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import SymmetricCrossEntropy, cross_entropy, symmetric_cross_entropy
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract


def _reference(
    alpha: float, beta: float, logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None
) -> Float64s:
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        top = max(logits_C)
        total = math.fsum(math.exp(z - top) for z in logits_C)
        entropy = top - logits_C[label] + math.log(total)
        reverse = 0.0
        for c, z in enumerate(logits_C):
            predicted = min(max(math.exp(z - top) / total, 1e-7), 1.0)
            target = min(max(1.0 if c == label else 0.0, 1e-4), 1.0)
            reverse -= predicted * math.log(target)
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * (alpha * entropy + beta * reverse))
    return np.array(losses)


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 1.0), (6.0, 2.0), (0.0, 1.0), (2.0, 0.0)])
class TestSymmetricCrossEntropy(LossContract):
    entry = "sce"

    @pytest.fixture
    def case(self, alpha: float, beta: float) -> LossCase:
        def reference(
            logits_BC: Float64s, labels_B: Labels, weights_C: Float64s | None, _counts: Sequence[int]
        ) -> Float64s:
            return _reference(alpha, beta, logits_BC, labels_B, weights_C)

        return LossCase(lambda _class_counts: SymmetricCrossEntropy(alpha, beta), reference)


def test_symmetric_cross_entropy_without_its_reverse_is_alpha_times_the_cross_entropy() -> None:
    logits_BC, labels_B = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 2)
    loss_B = symmetric_cross_entropy(logits_BC, labels_B, alpha=2.0, beta=0.0)
    torch.testing.assert_close(loss_B, 2 * cross_entropy(logits_BC, labels_B))


def test_symmetric_cross_entropy_of_a_wrong_certain_prediction_is_bounded_in_its_reverse() -> None:
    loss_B = symmetric_cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([1]), alpha=0.0, beta=1.0)
    assert loss_B.item() == pytest.approx(-math.log(1e-4), rel=1e-6)


@pytest.mark.parametrize(("alpha", "beta", "named"), [(-1.0, 1.0, "sce_alpha"), (1.0, math.nan, "sce_beta")])
def test_symmetric_cross_entropy_refuses_a_weight_out_of_range(alpha: float, beta: float, named: str) -> None:
    with pytest.raises(UserError, match=f"expected `{named}` >= 0, got"):
        SymmetricCrossEntropy(alpha, beta)
