from __future__ import annotations

import pytest
import torch
from torch import nn

from absgd.models import SeededDropout, seed_dropout


def _seeded(p: float, seed: int = 0) -> SeededDropout:
    dropout = SeededDropout(p)
    seed_dropout(dropout, torch.Generator().manual_seed(seed))
    return dropout


def test_dropout_mask_is_decided_by_the_generator() -> None:
    values = torch.ones(4, 64)
    first, again, other = (_seeded(0.3, seed)(values) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropout_masks_of_successive_calls_differ() -> None:
    dropout = _seeded(0.5)
    assert not torch.equal(dropout(torch.ones(64)), dropout(torch.ones(64)))


def test_dropout_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    _seeded(0.5)(torch.ones(64))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_keeps_the_mean_and_scales_kept_values() -> None:
    dropped = _seeded(0.2)(torch.ones(20_000))
    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_dropout_gradient_passes_through_the_same_mask() -> None:
    values = torch.ones(64, requires_grad=True)
    dropped = _seeded(0.5)(values)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())


def test_dropout_is_identity_in_evaluation_and_for_zero_without_a_generator() -> None:
    values = torch.ones(8)
    assert SeededDropout(0.5).eval()(values) is values
    assert SeededDropout(0.0)(values) is values


def test_dropout_in_training_without_a_generator_is_refused() -> None:
    with pytest.raises(RuntimeError, match="expected `seed_dropout` before training"):
        SeededDropout(0.5)(torch.ones(8))


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_dropout_refuses_a_probability_out_of_range(p: float) -> None:
    with pytest.raises(ValueError, match="expected `p`"):
        SeededDropout(p)


def test_seed_dropout_reaches_nested_modules() -> None:
    model = nn.Sequential(nn.Sequential(SeededDropout(0.5)), nn.Dropout(0.0), SeededDropout(0.5))
    generator = torch.Generator()
    seed_dropout(model, generator)
    assert [module.generator for module in model.modules() if isinstance(module, SeededDropout)] == [generator] * 2


def test_dropout_has_no_state() -> None:
    assert not _seeded(0.5).state_dict()
