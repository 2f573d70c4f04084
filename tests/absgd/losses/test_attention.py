from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from absgd.losses import AttentionWeights, attention_weights
from tests.support.gpus import needs_gpu

START = torch.tensor(-math.inf, dtype=torch.float64)

losses = st.lists(st.floats(0, 1e4), min_size=1, max_size=16)
magnitudes = st.floats(1e-3, 1e6)
signs = st.sampled_from([1.0, -1.0])
fractions = st.floats(1e-3, 1.0)


def _losses(num_batches: int, num_samples: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.rand(num_batches, num_samples, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("lam", [0.5, 5.0, -0.5, -5.0])
@pytest.mark.parametrize(("gamma", "ab_alpha"), [(0.7, 0.5), (0.1, 1.0), (1.0, 0.3)])
def test_attention_weights_equal_a_plain_loop_without_logarithms(lam: float, gamma: float, ab_alpha: float) -> None:
    u, state = 0.0, START
    for loss_B in _losses(50):
        exponentials = [math.exp(loss / lam) for loss in loss_B.tolist()]
        u = (1 - gamma) * u + gamma * ab_alpha * sum(exponentials) / len(exponentials)
        weights_B, state = attention_weights(loss_B, state, lam, gamma, ab_alpha)
        expected = [value / (u * len(exponentials)) for value in exponentials]
        np.testing.assert_allclose(weights_B.numpy(), expected, rtol=1e-12)
        assert state.item() == pytest.approx(math.log(u), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("lam", [2.0, -2.0])
def test_attention_weights_of_the_first_batch_sum_to_one_over_gamma_ab_alpha(lam: float) -> None:
    weights_B, _ = attention_weights(_losses(1)[0], START, lam, gamma=0.4, ab_alpha=0.25)
    assert weights_B.sum().item() == pytest.approx(1 / (0.4 * 0.25), rel=1e-12)


@pytest.mark.parametrize("lam", [2.0, -2.0])
def test_attention_weights_settle_at_a_sum_of_one_over_ab_alpha(lam: float) -> None:
    loss_B, state = _losses(1)[0], START
    for _ in range(100):
        weights_B, state = attention_weights(loss_B, state, lam, gamma=0.4, ab_alpha=0.25)
    assert weights_B.sum().item() == pytest.approx(1 / 0.25, rel=1e-12)


@pytest.mark.parametrize(("lam", "order"), [(1.0, [0, 1, 2]), (-1.0, [2, 1, 0])])
def test_attention_weights_prefer_hard_samples_for_positive_lam_only(lam: float, order: list[int]) -> None:
    weights_B, _ = attention_weights(torch.tensor([0.1, 1.0, 3.0]), START, lam, gamma=1.0, ab_alpha=1.0)
    assert weights_B.argsort().tolist() == order


@pytest.mark.parametrize("lam", [1e-3, -1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attention_weights_stay_finite_where_exponentials_overflow(lam: float, dtype: torch.dtype) -> None:
    state = START
    for loss in (1e4, 0.0, 1e4, 1e-8):
        weights_B, state = attention_weights(torch.tensor([loss], dtype=dtype), state, lam, gamma=1.0, ab_alpha=1.0)
        assert weights_B.tolist() == [pytest.approx(1.0)]
        assert state.item() == pytest.approx(loss / lam)


@settings(deadline=None, max_examples=60)
@given(losses, losses, magnitudes, signs, fractions, fractions)
def test_attention_weights_are_finite_and_bounded(
    first: list[float], second: list[float], magnitude: float, sign: float, gamma: float, ab_alpha: float
) -> None:
    state = START
    for batch in (first, second):
        loss_B = torch.tensor(batch, dtype=torch.float64)
        weights_B, state = attention_weights(loss_B, state, sign * magnitude, gamma, ab_alpha)
        assert state.isfinite()
        assert (weights_B >= 0).all()
        assert weights_B.sum().item() <= (1 + 1e-6) / (gamma * ab_alpha)


@settings(deadline=None, max_examples=40)
@given(losses, magnitudes, signs, st.randoms(use_true_random=False))
def test_attention_weights_permute_with_the_batch(
    batch: list[float], magnitude: float, sign: float, random: Random
) -> None:
    order = random.sample(range(len(batch)), len(batch))
    loss_B = torch.tensor(batch, dtype=torch.float64)
    weights_B, state = attention_weights(loss_B, START, sign * magnitude, 0.5, 0.5)
    permuted_B, permuted_state = attention_weights(loss_B[order], START, sign * magnitude, 0.5, 0.5)
    torch.testing.assert_close(permuted_B, weights_B[order], rtol=1e-7, atol=1e-12)
    torch.testing.assert_close(permuted_state, state, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lam", [1e12, -1e12])
def test_attention_weights_for_large_lam_are_equal(lam: float) -> None:
    state = START
    for loss_B in _losses(5):
        weights_B, state = attention_weights(loss_B, state, lam, gamma=0.3, ab_alpha=1.0)
        torch.testing.assert_close(weights_B, weights_B.mean().expand_as(weights_B), rtol=1e-10, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_attention_weights_take_the_dtype_of_the_losses(dtype: torch.dtype) -> None:
    weights_B, state = attention_weights(torch.zeros(4, dtype=dtype), START, 5.0, 1.0, 1.0)
    assert (weights_B.dtype, state.dtype, state.dim()) == (dtype, torch.float64, 0)


def test_attention_weights_leave_their_inputs_alone() -> None:
    loss_B, state = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor(0.5, dtype=torch.float64)
    weights_B, new_state = attention_weights(loss_B, state, 5.0, 0.5, 0.5)
    assert (loss_B.tolist(), state.item()) == ([1.0, 2.0], 0.5)
    assert new_state.data_ptr() != state.data_ptr()
    assert not weights_B.requires_grad
    assert not new_state.requires_grad


@pytest.mark.parametrize(
    ("lam", "gamma", "ab_alpha", "named"),
    [(0.0, 0.5, 0.5, "lam"), (math.nan, 0.5, 0.5, "lam"), (1.0, 0.0, 0.5, "gamma"), (1.0, 0.5, 1.5, "ab_alpha")],
)
def test_attention_weights_refuse_a_setting_out_of_range(lam: float, gamma: float, ab_alpha: float, named: str) -> None:
    with pytest.raises(ValueError, match=f"expected `{named}`"):
        attention_weights(torch.ones(2), START, lam, gamma, ab_alpha)
    with pytest.raises(ValueError, match=f"expected `{named}`"):
        AttentionWeights(lam, gamma, ab_alpha)


@pytest.mark.parametrize("shape", [(), (0,), (2, 1)])
def test_attention_weights_refuse_a_tensor_that_is_not_a_batch(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected `loss_B`"):
        attention_weights(torch.zeros(shape), START, 1.0, 0.5, 0.5)


def test_module_equals_the_function_step_by_step() -> None:
    module, state = AttentionWeights(-2.0, 0.3, 0.5), START
    for loss_B in _losses(10):
        expected_B, state = attention_weights(loss_B, state, -2.0, 0.3, 0.5)
        assert torch.equal(module(loss_B), expected_B)
        assert torch.equal(module.log_u, state)


@pytest.mark.parametrize("lam", [2.0, -2.0])
def test_module_adds_uniform_weights_on_top_of_the_same_average(lam: float) -> None:
    plain, added = AttentionWeights(lam, 0.3, 0.5), AttentionWeights(lam, 0.3, 0.5, add_uniform=True)
    for loss_B in _losses(5):
        torch.testing.assert_close(added(loss_B), plain(loss_B) + 1 / 7, rtol=1e-14, atol=0)
    assert torch.equal(added.log_u, plain.log_u)


def test_module_keeps_no_autograd_history() -> None:
    module = AttentionWeights(5.0, 0.5, 0.5)
    logits_B = torch.ones(3, requires_grad=True)
    alive = weakref.ref(logits_B)
    assert not module(logits_B.exp()).requires_grad
    assert module.log_u.grad_fn is None
    del logits_B
    assert alive() is None


def test_module_state_round_trip_is_exact() -> None:
    saved, loaded = AttentionWeights(0.7, 0.3, 0.5), AttentionWeights(0.7, 0.3, 0.5)
    *earlier, last_B = _losses(6)
    for loss_B in earlier:
        saved(loss_B)
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(loaded.log_u, saved.log_u)
    assert torch.equal(loaded(last_B), saved(last_B))


@pytest.mark.parametrize("cast", [torch.nn.Module.half, torch.nn.Module.float, torch.nn.Module.bfloat16])
def test_module_state_stays_float64_when_the_model_is_cast(
    cast: Callable[[torch.nn.Module], torch.nn.Module],
) -> None:
    module = AttentionWeights(0.7, 0.3, 0.5)
    module(_losses(1)[0])
    before = module.log_u.clone()
    cast(torch.nn.Sequential(module))
    assert torch.equal(module.log_u, before)
    assert module.log_u.dtype == torch.float64


@needs_gpu
def test_module_on_a_gpu_never_waits_for_it() -> None:
    module, batches = AttentionWeights(0.7, 0.3, 0.5).cuda(), _losses(20).cuda()
    module(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for loss_B in batches:
            module(loss_B)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert module.log_u.isfinite()
