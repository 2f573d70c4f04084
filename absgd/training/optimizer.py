"""The optimiser of a run: SGD, with a weight decay of its own for the first fully connected layer where asked."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from absgd.errors import UserError
from absgd.sections import OptimizerConfig

FIRST_FULLY_CONNECTED = "fc1"
"""Name of the layer in the models that have one."""


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.SGD:
    """SGD over all parameters of `model`: one group, or two where `fc1_weight_decay` is given, `fc1` in the second.

    Raises:
        UserError: if `fc1_weight_decay` is given and the model has no layer `fc1`.

    Source: noisy CIFAR-10 recipe of the ABSGD repository, which decays the first fully connected layer more.
    """
    return torch.optim.SGD(
        _parameter_groups(model, config), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )


def clip_gradient(model: nn.Module, max_norm: float) -> bool:
    """Scale the gradient of all parameters together to a norm of at most `max_norm`; False if the norm is not finite.

    A gradient without a finite norm is spoilt by the scaling: do not step on it.

    Source: arXiv 1211.5063, Algorithm 1.
    """
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return math.isfinite(norm)


def _parameter_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    if config.fc1_weight_decay is None:
        return [{"params": list(model.parameters())}]
    if FIRST_FULLY_CONNECTED not in dict(model.named_children()):
        raise UserError(
            f"expected `fc1_weight_decay` with a model that has a layer `{FIRST_FULLY_CONNECTED}`, "
            f"got {type(model).__name__} (optimizer.fc1_weight_decay)"
        )
    first = list(model.get_submodule(FIRST_FULLY_CONNECTED).parameters())
    in_first = {id(parameter) for parameter in first}
    others = [parameter for parameter in model.parameters() if id(parameter) not in in_first]
    return [{"params": others}, {"params": first, "weight_decay": config.fc1_weight_decay}]
