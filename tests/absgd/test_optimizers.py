"""The published package's optimisers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from absgd.optimizers import ABSGD, ABAdam


@pytest.mark.parametrize("optimizer", [ABSGD, ABAdam])
def test_optimizer_has_the_published_signature(optimizer: Callable[..., Any]) -> None:
    parameters = inspect.signature(optimizer).parameters
    assert list(parameters) == ["params", "lr", "weight_decay"]
    assert parameters["lr"].default is inspect.Parameter.empty
    assert parameters["weight_decay"].default == 0.0


def _steps(build: Callable[[Any], torch.optim.Optimizer]) -> list[float]:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = build([parameter])
    for _ in range(3):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    return list(parameter.tolist())


def test_absgd_steps_as_sgd_with_momentum() -> None:
    expected = _steps(lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01))
    assert _steps(lambda params: ABSGD(params, 0.1, 0.01)) == expected


def test_abadam_steps_as_adam() -> None:
    expected = _steps(lambda params: torch.optim.Adam(params, lr=0.1, weight_decay=0.01))
    assert _steps(lambda params: ABAdam(params, lr=0.1, weight_decay=0.01)) == expected
