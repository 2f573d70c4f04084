"""The optimiser's parameter groups, and the clipped gradient."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

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


def test_build_optimizer_steps_and_keeps_its_state_as_torchs_sgd_does() -> None:
    def stepped(optimizer: torch.optim.SGD, model: nn.Module) -> dict[str, Any]:
        for _ in range(2):
            optimizer.zero_grad()
            sum(parameter.square().sum() for parameter in model.parameters()).backward()
            optimizer.step()
        return optimizer.state_dict()

    own, other = _model(), _model()
    other.load_state_dict(own.state_dict())
    config = CONFIG.model_copy(update={"momentum": 0.9})
    optimizer = build_optimizer(own, config)
    state = stepped(optimizer, own)
    peer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=0.2)
    expected = stepped(peer, other)
    torch.testing.assert_close(state, expected, rtol=0, atol=0)
    torch.testing.assert_close(own.state_dict(), other.state_dict(), rtol=0, atol=0)
    peer.load_state_dict(state)
    optimizer.load_state_dict(expected)
    torch.testing.assert_close(optimizer.state_dict(), peer.state_dict(), rtol=0, atol=0)


def test_run_on_digits_imports_neither_torchs_compiler_nor_scikit_learn() -> None:
    program = (
        "import sys, torch\n"
        "from absgd.config import RunConfig\n"
        "from absgd.datasets import load_splits\n"
        "from absgd.training import Trainer\n"
        "data = {'name': 'digits', 'n_max': 10, 'val_per_class': 5}\n"
        "config = RunConfig(data=data, model={'name': 'resnet8'}, loss={'name': 'ce'}, epochs=1)\n"
        "assert len(list(Trainer(config, load_splits(config)).epochs())) == 1\n"
        "print([name for name in ('torch._dynamo', 'sklearn', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
