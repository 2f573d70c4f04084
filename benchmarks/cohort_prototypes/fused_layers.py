"""Several CIFAR ResNets as one model: each layer holds all members, as grouped convolutions and wider batch norm.

The form of HFTA (arXiv 2102.02344, section 3) in torch's own layers. Every parameter and buffer concatenates its
members along the first axis, so `value.chunk(K)[k]` belongs to member k.

Suffixes: K members, B images of a batch, C channels, H rows, W columns, F features.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from absgd.models.resnet_cifar import CifarResNet


def fuse(models: Sequence[nn.Module]) -> nn.Module:
    """Return one model of K members, with copies of their weights and statistics: images_BCHW to logits_KBC.

    Args:
        models: CIFAR ResNets of one architecture, with the linear classifier and without dropout.
    """
    fused = copy.deepcopy(models[0])
    assert isinstance(fused, CifarResNet)
    states = [model.state_dict() for model in models]
    for name, parameter in models[0].state_dict(keep_vars=True).items():
        path, _, key = name.rpartition(".")
        values = [state[name] for state in states]
        together = torch.cat(values) if values[0].dim() else values[0].clone()
        is_parameter = isinstance(parameter, nn.Parameter)
        setattr(fused.get_submodule(path), key, nn.Parameter(together) if is_parameter else together)
    _widen(fused, len(models))
    return fused


def _widen(fused: CifarResNet, members: int) -> None:
    is_stem = True  # its input is the batch, which all members share
    for module in fused.features.modules():
        if isinstance(module, nn.Conv2d):
            module.groups = 1 if is_stem else members
            module.in_channels *= module.groups
            module.out_channels *= members
            is_stem = False
        if isinstance(module, nn.BatchNorm2d):
            module.num_features *= members
    for stage in fused.features.children():
        if isinstance(stage, nn.Sequential) and cast(int, stage[0].padded_channels):
            stage[0] = _FusedBlock(stage[0], members)
    fused.set_submodule("classifier", _FusedLinear(fused.classifier, members))


class _FusedBlock(nn.Module):
    """First block of a stage, whose shortcut pads the channels of each member."""

    def __init__(self, block: nn.Module, members: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.conv2, self.norm2 = (
            block.get_submodule(name) for name in ("conv1", "norm1", "conv2", "norm2")
        )
        self._stride, self._padded_channels = cast(int, block.stride), cast(int, block.padded_channels)
        self._members = members

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        hidden_BCHW = relu(self.norm1(self.conv1(inputs_BCHW)), inplace=True)
        strided_BCHW = inputs_BCHW[:, :, :: self._stride, :: self._stride]
        ends = (self._padded_channels, self._padded_channels)
        shortcut_BKCHW = pad(_parted(strided_BCHW, 1, self._members), (0, 0, 0, 0, *ends))
        return relu(self.norm2(self.conv2(hidden_BCHW)) + shortcut_BKCHW.flatten(1, 2), inplace=True)


class _FusedLinear(nn.Module):
    """Linear layers of all members: features_BF, concatenated over members, to logits_KBC."""

    def __init__(self, together: nn.Module, members: int) -> None:
        super().__init__()
        self.weight, self.bias = together.get_parameter("weight"), together.get_parameter("bias")
        self._members = members

    def forward(self, features_BF: Tensor) -> Tensor:
        features_KBF = _parted(features_BF, 1, self._members).transpose(0, 1)
        weight_KCF, bias_KC = _parted(self.weight, 0, self._members), _parted(self.bias, 0, self._members)
        return torch.baddbmm(bias_KC[:, None], features_KBF, weight_KCF.transpose(1, 2))


def _parted(together: Tensor, axis: int, members: int) -> Tensor:
    """Split the axis that concatenates members into two: members, and the part of each."""
    return together.reshape(*together.shape[:axis], members, -1, *together.shape[axis + 1 :])
