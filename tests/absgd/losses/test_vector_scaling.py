from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import LogitAdjustment, VectorScaling
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract

GAMMA, TAU = 0.2, 1.5


def _reference(
    logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None, class_counts: Sequence[int]
) -> Float64s:
    factors = [(count / max(class_counts)) ** GAMMA for count in class_counts]
    shifts = [TAU * math.log(count / sum(class_counts)) for count in class_counts]
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        scaled = [factor * z + shift for factor, z, shift in zip(factors, logits_C, shifts, strict=True)]
        top = max(scaled)
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * (top - scaled[label] + math.log(math.fsum(math.exp(z - top) for z in scaled))))
    return np.array(losses)


class TestVectorScaling(LossContract):
    entry = "vs"

    @pytest.fixture
    def case(self) -> LossCase:
        return LossCase(lambda class_counts: VectorScaling(class_counts, GAMMA, TAU), _reference)


def test_vs_without_factors_is_logit_adjustment() -> None:
    logits_BC = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels_B = torch.tensor([0, 1, 2] * 2)
    scaling, adjustment = VectorScaling([50, 5, 1], gamma=0.0, tau=0.7), LogitAdjustment([50, 5, 1], tau=0.7)
    torch.testing.assert_close(scaling(logits_BC, labels_B), adjustment(logits_BC, labels_B))


def test_vs_factors_shrink_the_logits_of_rare_classes() -> None:
    assert VectorScaling([16, 16, 1], gamma=0.5).factors_C.tolist() == pytest.approx([1.0, 1.0, 0.25], rel=1e-14)


def test_vs_settings_are_not_saved() -> None:
    assert not VectorScaling([3, 4]).state_dict()


def test_vs_refuses_an_empty_class() -> None:
    with pytest.raises(UserError, match=r"at least one training image .*`vs`, got none in \[1\]"):
        VectorScaling([3, 0])


@pytest.mark.parametrize(("name", "values"), [("vs_gamma", {"gamma": -0.1}), ("vs_tau", {"tau": math.nan})])
def test_vs_refuses_settings_out_of_range(name: str, values: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"expected `{name}` >= 0, got .* \(loss\.{name}\)"):
        VectorScaling([3, 4], **values)
