from __future__ import annotations

import pytest
import torch

from absgd.losses import divide_by_norm


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 2.0])
def test_divide_by_norm_equals_a_plain_loop(tau: float) -> None:
    logits_BC = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for scaled_C, logits_C in zip(divide_by_norm(logits_BC, tau).tolist(), logits_BC.tolist(), strict=True):
        norm = sum(z * z for z in logits_C) ** 0.5
        assert scaled_C == pytest.approx([z / norm**tau for z in logits_C], rel=1e-12)


@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_divide_by_norm_gradient_equals_finite_differences(tau: float) -> None:
    logits_BC = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: divide_by_norm(z, tau), logits_BC)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_divide_by_norm_stays_finite_for_zero_and_large_logits(tau: float) -> None:
    logits_BC = torch.tensor([[0.0, 0.0], [1e4, -1e4], [1e-20, 0.0]], requires_grad=True)
    scaled_BC = divide_by_norm(logits_BC, tau)
    torch.autograd.backward(scaled_BC[:2].sum())
    assert scaled_BC.isfinite().all()
    assert scaled_BC[0].tolist() == [0.0, 0.0]
    assert logits_BC.grad is not None
    assert logits_BC.grad.isfinite().all()


def test_divide_by_norm_with_tau_zero_is_the_logits_bit_for_bit() -> None:
    logits_BC = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(divide_by_norm(logits_BC, 0.0), logits_BC)
