from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
import torch

import absgd.losses
from absgd.class_weights import effective_number_weights
from absgd.errors import UserError

LONG_TAIL = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def _exact(class_counts: list[int], beta: float) -> list[float]:
    with localcontext() as context:
        context.prec = 60
        raw = [(1 - Decimal(beta)) / (1 - Decimal(beta) ** count) for count in class_counts]
        return [float(len(raw) * weight / sum(raw)) for weight in raw]


@pytest.mark.parametrize("beta", [0.0, 1e-9, 0.5, 0.9, 0.9999, 1 - 1e-12, 1 - 2**-53])
@pytest.mark.parametrize("class_counts", [LONG_TAIL, [1], [1, 1_000_000], [10**9, 10**7, 3]])
def test_effective_number_weights_equal_exact_arithmetic(class_counts: list[int], beta: float) -> None:
    weights_C = effective_number_weights(class_counts, beta)
    assert weights_C.dtype == torch.float64
    assert weights_C.tolist() == pytest.approx(_exact(class_counts, beta), rel=1e-12)
    assert weights_C.sum().item() == pytest.approx(len(class_counts), rel=1e-14)


def test_effective_number_weights_with_beta_zero_are_ones() -> None:
    assert effective_number_weights(LONG_TAIL, 0.0).tolist() == [1.0] * 10


def test_effective_number_weights_fall_with_class_size() -> None:
    weights = effective_number_weights(LONG_TAIL, 0.9999).tolist()
    assert weights == sorted(weights)
    assert len(set(weights)) == 10


def test_effective_number_weights_refuse_an_empty_class() -> None:
    with pytest.raises(UserError, match=r"at least one training image in every class .* got none in \[1, 3\]"):
        effective_number_weights([5, 0, 5, 0], 0.9)


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_effective_number_weights_refuse_beta_out_of_range(beta: float) -> None:
    with pytest.raises(UserError, match="expected `beta`"):
        effective_number_weights([5, 5], beta)


def test_effective_number_weights_are_exported_with_the_losses() -> None:
    assert absgd.losses.effective_number_weights is effective_number_weights
