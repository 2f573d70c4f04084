from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.losses import CrossEntropy, cross_entropy
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract


def _reference(
    logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None, class_counts: Sequence[int]
) -> Float64s:
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * math.log(math.fsum(math.exp(z - max(logits_C)) for z in logits_C)))
        losses[-1] += weight * (max(logits_C) - logits_C[label])
    return np.array(losses)


class TestCrossEntropy(LossContract):
    entry = "ce"

    @pytest.fixture
    def case(self) -> LossCase:
        return LossCase(lambda _class_counts: CrossEntropy(), _reference)


def test_cross_entropy_casts_class_weights_to_the_logits() -> None:
    loss_B = cross_entropy(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([1.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(loss_B, math.log(2) * torch.tensor([1.0, 3.0]))


def test_cross_entropy_of_a_class_with_zero_weight_is_zero() -> None:
    assert cross_entropy(torch.tensor([[-1e4, 1e4]]), torch.tensor([0]), torch.tensor([0.0, 1.0])).item() == 0
