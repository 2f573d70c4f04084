from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import BalancedSoftmax, cross_entropy
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract


def _reference(
    logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None, class_counts: Sequence[int]
) -> Float64s:
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        top = max(logits_C)
        total = math.fsum(count * math.exp(z - top) for z, count in zip(logits_C, class_counts, strict=True))
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * (top - logits_C[label] + math.log(total) - math.log(class_counts[label])))
    return np.array(losses)


class TestBalancedSoftmax(LossContract):
    entry = "balanced_softmax"

    @pytest.fixture
    def case(self) -> LossCase:
        return LossCase(BalancedSoftmax, _reference)


def test_balanced_softmax_with_classes_of_one_size_is_the_cross_entropy() -> None:
    logits_BC, labels_B = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 2)
    torch.testing.assert_close(BalancedSoftmax([9, 9, 9])(logits_BC, labels_B), cross_entropy(logits_BC, labels_B))


def test_balanced_softmax_counts_are_not_saved() -> None:
    assert not BalancedSoftmax([3, 4]).state_dict()


def test_balanced_softmax_refuses_an_empty_class() -> None:
    with pytest.raises(UserError, match=r"at least one training image .*`balanced_softmax`, got none in \[1\]"):
        BalancedSoftmax([3, 0])
