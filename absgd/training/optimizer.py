"""The optimiser of a run: SGD, with a separate weight decay for the first fully connected layer if asked for."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from absgd.config.sections import OptimizerConfig
from absgd.errors import UserError

FIRST_FULLY_CONNECTED = "fc1"
"""Name of the first fully connected layer in the models that have one."""


class EagerSGD(torch.optim.SGD):
    """`torch.optim.SGD` whose methods are called as they are.

    torch marks them for its compiler, which the first call of each imports even where nothing is compiled: 1.6 s of
    processor time for every process that trains.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)
    state_dict = inspect.unwrap(torch.optim.SGD.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.SGD.load_state_dict)
    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)


def build_optimizer(model: nn.Module, config: OptimizerConfig, *, fused: bool = False) -> EagerSGD:
    """SGD over all parameters of `model`: one group, or two where `fc1_weight_decay` is given, `fc1` in the second.

    Args:
        model: on its device.
        config: learning rate, momentum and weight decay.
        fused: update all parameters in one kernel, which also takes a learning rate that is a tensor.

    Raises:
        UserError: if `fc1_weight_decay` is given and the model has no layer `fc1`.

    Source: noisy CIFAR-10 recipe of the ABSGD repository, which decays the first fully connected layer more.
    """
    return EagerSGD(
        _parameter_groups(model, config),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=True if fused else None,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all groups; a tensor, as in a captured graph, keeps its storage."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """`optimizer.state_dict()` with learning rates as plain numbers; tensors are the live ones, not copies."""
    state = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an `optimizer_state`, except the choice of kernels (fused, foreach), which stays this optimiser's.

    Raises:
        ValueError, KeyError: by torch, if it belongs to other parameters.
    """
    kernels = [{name: group[name] for name in ("fused", "foreach")} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, kernels, strict=True):
        group.update(own)


def clip_gradient(model: nn.Module, max_norm: float) -> Tensor:
    """Scale the gradient of all parameters together to a norm of at most `max_norm`.

    Returns whether the norm was finite, as a 0-d bool tensor on the model's device: nothing waits for the device.

    Scaling spoils a gradient whose norm is not finite: do not step with it.

    Source: arXiv 1211.5063, Algorithm 1.
    """
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return torch.isfinite(norm)


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
