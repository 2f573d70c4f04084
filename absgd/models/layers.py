"""Layers that several models share: batch norm that bears a batch of one, and He's initialisation.

Suffixes: N images, C channels, H height, W width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import batch_norm


class _BearsOneValue(nn.modules.batchnorm._BatchNorm):
    """Batch norm that in training falls back on its running statistics where a channel has a single value.

    One value has no variance, and torch refuses it; the last batch of an epoch may hold one image.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and inputs.numel() == self.num_features:
            return batch_norm(inputs, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(inputs)


class BatchNorm1d(_BearsOneValue, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` for features_NC whose training also takes a batch of one.

    That batch is normalised by the running statistics, as in evaluation, and does not enter them.

    >>> import torch
    >>> BatchNorm1d(3)(torch.ones(1, 3)).shape
    torch.Size([1, 3])
    """


class BatchNorm2d(_BearsOneValue, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` for values_NCHW whose training also takes one pixel of one image.

    That pixel is normalised by the running statistics, as in evaluation, and does not enter them.
    """


def initialise_he_normal(module: nn.Module) -> None:
    """Weights of a convolution or linear layer He-normal by fan-in, biases zero; other modules stay as they are.

    For `model.apply`; draws from torch's global generator.

    Source: He et al., arXiv 1502.01852, section 2.2.
    """
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
