"""Layers that several models share: batch norm that accepts a batch of one, and He's initialisation.

Suffixes: N images, C channels, H height, W width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import batch_norm


def by_running_statistics(norm: nn.modules.batchnorm._BatchNorm, inputs: Tensor) -> Tensor:
    """Return inputs of any shape that `norm` takes, normalised as in evaluation; the running statistics stay."""
    return batch_norm(inputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class _AcceptsOneValue(nn.modules.batchnorm._BatchNorm):
    """Batch norm that in training falls back on its running statistics if a channel has a single value.

    One value has no variance, and torch refuses it; the last batch of an epoch may have one image.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and inputs.numel() == self.num_features:
            return by_running_statistics(self, inputs)
        return super().forward(inputs)


class BatchNorm1d(_AcceptsOneValue, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` for features_NC that accepts a batch of one in training.

    That batch is normalised by the running statistics, as in evaluation, and does not enter them.

    >>> import torch
    >>> BatchNorm1d(3)(torch.ones(1, 3)).shape
    torch.Size([1, 3])
    """


class BatchNorm2d(_AcceptsOneValue, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` for values_NCHW that accepts one pixel of one image in training.

    That pixel is normalised by the running statistics, as in evaluation, and does not enter them.
    """


def initialise_he_normal(module: nn.Module) -> None:
    """Initialise a convolution or linear layer: weights He-normal by fan-in, biases zero; other modules stay unchanged.

    For `model.apply`; draws from torch's global generator.

    Source: He et al., arXiv 1502.01852, section 2.2.
    """
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
