"""The optimiser's parameter groups, and the clipped gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from absgd.config.sections import OptimizerConfig
from absgd.errors import UserError
from absgd.training.optimizer import build_optimizer, clip_gradient

CONFIG = OptimizerConfig(lr=0.1, momentum=0.0, weight_decay=0.2)


def _model() -> nn.Module:
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(1, 2, 3))
    model.add_module("fc1", nn.Linear(4, 3))
    model.add_module("classifier", nn.Linear(3, 2))
    return model


def test_build_optimizer_has_one_group_of_all_parameters_in_order() -> None:
    model = _model()
    (group,) = build_optimizer(model, CONFIG).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in model.parameters()]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.0, 0.2)


def test_build_optimizer_decays_the_first_fully_connected_layer_by_its_own_rate() -> None:
    model = _model()
    optimizer = build_optimizer(model, CONFIG.model_copy(update={"fc1_weight_decay": 0.5}))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        decay = 0.5 if name.startswith("fc1.") else 0.2
        torch.testing.assert_close(parameter.detach(), before[name] * (1 - 0.1 * decay))


def test_build_optimizer_refuses_a_decay_for_a_missing_layer() -> None:
    config = CONFIG.model_copy(update={"fc1_weight_decay": 0.5})
    with pytest.raises(UserError, match=r"expected `fc1_weight_decay` with a model that has a layer `fc1`"):
        build_optimizer(nn.Sequential(nn.Linear(2, 2)), config)


@pytest.mark.parametrize(("max_norm", "expected"), [(1.0, 1.0), (100.0, 10.0)])
def test_clip_gradient_bounds_the_norm_of_all_parameters_together(max_norm: float, expected: float) -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    for parameter, gradient in zip(model.parameters(), (6.0, 8.0), strict=True):
        parameter.grad = torch.full_like(parameter, gradient)
    assert clip_gradient(model, max_norm)
    norm = sum(float(parameter.grad.square().sum()) for parameter in model.parameters() if parameter.grad is not None)
    assert norm**0.5 == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_clip_gradient_reports_a_norm_that_is_not_finite(bad: float) -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.grad = torch.tensor([[bad]])
    assert not clip_gradient(model, 1.0)
