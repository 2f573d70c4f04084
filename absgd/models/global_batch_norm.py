"""Batch norm over a batch whose images are spread over several processes.

Its statistics cover the whole batch, so the processes compute the same as one process on all of it.

Suffix: C channels.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from absgd.models.dropout import SeededDropout
from absgd.models.layers import by_running_statistics


def over_ranks(model: nn.Module) -> nn.Module:
    """Replace every batch norm of `model` by one over the batches of all processes of the default process group.

    Parameters, buffers and their names stay. On CUDA it is `torch.nn.SyncBatchNorm`, which does not run on a CPU.
    Call `set_whole_batch` before each forward pass in training.
    """
    if isinstance(model, _BatchNorm):
        return _replaced(model)
    for name, child in model.named_children():
        setattr(model, name, over_ranks(child))
    return model


def set_whole_batch(model: nn.Module, num_images: int, rows: slice) -> None:
    """Tell the layers of `model` the number of images of the next batch and the rows that are given here."""
    for module in model.modules():
        if isinstance(module, GlobalBatchNorm | FusedGlobalBatchNorm):
            module.num_images = num_images
        elif isinstance(module, SeededDropout):
            module.whole_batch = (num_images, rows)


class GlobalBatchNorm(_BatchNorm):
    """Batch norm over the values of all processes, on any device: two sums per channel are reduced.

    A batch with one value per channel is normalised by the running statistics, as in `absgd.models.layers`.

    Source: arXiv 1502.03167, Algorithm 1.
    """

    num_images = 0
    """Images of the whole batch."""

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs` (own images, C, ...), normalised; the whole batch enters the running statistics."""
        num_values = self.num_images * math.prod(inputs.shape[2:])
        if not self.training or num_values == 1:
            return by_running_statistics(self, inputs)
        axes = [0, *range(2, inputs.dim())]
        shape = (1, -1, *(1 for _ in inputs.shape[2:]))
        mean_C = summed_over_ranks(inputs.sum(axes, dtype=torch.float64)) / num_values
        centred = inputs - mean_C.to(inputs.dtype).view(shape)
        variance_C = summed_over_ranks(centred.square().sum(axes, dtype=torch.float64)) / num_values
        self._remember(mean_C.detach(), variance_C.detach() * num_values / (num_values - 1))
        scale_C = (variance_C + self.eps).rsqrt().to(inputs.dtype) * self.weight
        return centred * scale_C.view(shape) + self.bias.view(shape)

    def _remember(self, mean_C: Tensor, variance_C: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean_C.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance_C.to(self.running_var.dtype), self.momentum)

    def _check_input_dim(self, inputs: Tensor) -> None:
        assert inputs.dim() >= 2, inputs.shape


class FusedGlobalBatchNorm(nn.SyncBatchNorm):
    """`torch.nn.SyncBatchNorm` that also takes a batch with one value per channel, as `absgd.models.layers` does."""

    num_images = 0
    """Images of the whole batch."""

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs` (own images, C, ...), normalised; the whole batch enters the running statistics."""
        if self.training and self.num_images * math.prod(inputs.shape[2:]) == 1:
            return by_running_statistics(self, inputs)
        if inputs.numel() == 0:  # torch would send zeros of this dtype while the others send float32
            return super().forward(inputs.float()).to(inputs.dtype)
        return super().forward(inputs)


def summed_over_ranks(own: Tensor) -> Tensor:
    """The sum of a tensor over all processes, the same bits in each; gradient flows to every process's tensor."""
    return cast(Tensor, _Summed.apply(own))


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        """Sum the gradients of all processes, each of which has used the sum."""
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _replaced(norm: _BatchNorm) -> nn.Module:
    kind = FusedGlobalBatchNorm if norm.weight.is_cuda else GlobalBatchNorm
    new = kind(norm.num_features, norm.eps, norm.momentum)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    return new.train(norm.training)
