"""torchvision's residual networks: unchanged for ImageNet, with another stem for small images.

Suffixes: N images, C channels, H height, W width, F features, K classes.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from absgd.config.sections import ModelConfig
from absgd.models.classifier import HeadName, build_classifier
from absgd.models.dropout import SeededDropout
from absgd.models.layers import BatchNorm2d

Architecture = Literal["resnet18", "resnet34", "resnet50"]
Stem = Literal["imagenet", "cifar"]


class TorchvisionResNet(nn.Module):
    """A residual network of torchvision: its features, followed by dropout and this project's classifier.

    The ImageNet stem is a 7x7 convolution of stride 2 and a max pooling, which together divide the side by 4; the
    CIFAR stem a 3x3 convolution of stride 1 and no pooling. Initial weights come from torch's global generator as
    torchvision draws them: convolutions He-normal by fan-out, a linear classifier by torch's default.
    `features` has the parameter names of torchvision's own network, so that its published weights fit.

    >>> import torch
    >>> TorchvisionResNet("resnet18", "cifar", in_channels=1, num_classes=10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Source: He et al., arXiv 1512.03385, section 3.3; torchvision.models.resnet.
    """

    def __init__(
        self,
        architecture: Architecture,
        stem: Stem,
        in_channels: int,
        num_classes: int,
        dropout: float = 0.0,
        head: HeadName = "linear",
    ) -> None:
        """A freshly initialised network.

        Args:
            architecture: torchvision's name of the network.
            stem: kind of first layers, by the size of the images.
            in_channels: channels of the images.
            num_classes: number of logits K.
            dropout: probability of dropping a feature before the classifier, in [0, 1).
            head: kind of classifier.

        Raises:
            ValueError: if `dropout` is out of its range.
        """
        super().__init__()
        self.architecture = architecture
        self.features = _features(architecture, stem, in_channels)
        self.num_features: int = self.features.fc.in_features  # type: ignore[union-attr, assignment]
        self.features.fc = nn.Identity()
        self.dropout = SeededDropout(dropout)
        self.classifier = build_classifier(head, self.num_features, num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """logits_NK of normalised floating images."""
        features_NF: Tensor = self.features(images_NCHW)
        logits_NK: Tensor = self.classifier(self.dropout(features_NF))
        return logits_NK


def build_with_cifar_stem(
    config: ModelConfig, in_channels: int, num_classes: int, architecture: Architecture
) -> TorchvisionResNet:
    """Build the model of a run on small images, as the table of models asks for it."""
    return TorchvisionResNet(architecture, "cifar", in_channels, num_classes, config.dropout, config.head)


def _features(architecture: Architecture, stem: Stem, in_channels: int) -> nn.Module:
    """torchvision's network with the given stem and channels, its own classifier still in place."""
    from torchvision.models import get_model  # takes a second to import, and most models do not need it

    network: nn.Module = get_model(architecture, weights=None, norm_layer=BatchNorm2d)
    if stem == "cifar":
        network.conv1 = _convolution(in_channels, kernel_size=3, stride=1)
        network.maxpool = nn.Identity()
    elif in_channels != 3:
        network.conv1 = _convolution(in_channels, kernel_size=7, stride=2)
    return network


def _convolution(in_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    """A first convolution, initialised as torchvision does."""
    layer = nn.Conv2d(in_channels, 64, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
