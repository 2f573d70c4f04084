"""The CIFAR family of residual networks: three stages of 16, 32 and 64 channels.

Suffixes: N images, C channels, H height, W width, F features, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from absgd.config.sections import ModelConfig
from absgd.models.classifier import HeadName, build_classifier
from absgd.models.dropout import SeededDropout
from absgd.models.layers import initialise_he_normal

STAGE_CHANNELS = (16, 32, 64)


class CifarResNet(nn.Module):
    """Residual network of depth 6n + 2 for small images, with parameter-free shortcuts (option A).

    A 3x3 convolution, three stages of n blocks (the later two halve the side), global average pooling, dropout and
    a classifier; ResNet-32 for 3 channels and 10 classes, with a linear one, has 464,154 parameters. Weights come
    from torch's global generator, He-normal by fan-in, biases zero; `forward` draws from dropout's own generator only.

    >>> import torch
    >>> CifarResNet(8, in_channels=1, num_classes=10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Source: He et al., arXiv 1512.03385, section 4.2; initialisation: arXiv 1502.01852, section 2.2.
    """

    def __init__(
        self, depth: int, in_channels: int, num_classes: int, dropout: float = 0.0, head: HeadName = "linear"
    ) -> None:
        """A freshly initialised network.

        Args:
            depth: number of weighted layers, 6n + 2 with n >= 1.
            in_channels: channels of the images.
            num_classes: number of logits K.
            dropout: probability of dropping a feature before the classifier, in [0, 1).
            head: kind of classifier.

        Raises:
            ValueError: if there is no network of that depth or `dropout` is out of its range.
        """
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"expected `depth` = 6n + 2 with n >= 1, got {depth}")
        self.num_features = STAGE_CHANNELS[-1]
        self.features = _features((depth - 2) // 6, in_channels)
        self.dropout = SeededDropout(dropout)
        self.classifier = build_classifier(head, self.num_features, num_classes)
        self.apply(initialise_he_normal)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """logits_NK of normalised floating images whose sides are 8 pixels or more."""
        features_NF: Tensor = self.features(images_NCHW)
        logits_NK: Tensor = self.classifier(self.dropout(features_NF))
        return logits_NK


def build(config: ModelConfig, in_channels: int, num_classes: int, depth: int) -> CifarResNet:
    """Build the model of a run, as the table of models asks for it."""
    return CifarResNet(depth, in_channels, num_classes, config.dropout, config.head)


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut that strides over pixels and pads new channels with zeros."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, out_channels, stride)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels, stride=1)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.padded_channels = (out_channels - in_channels) // 2

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        hidden_NCHW = relu(self.norm1(self.conv1(inputs_NCHW)), inplace=True)
        return relu(self.norm2(self.conv2(hidden_NCHW)) + self._shortcut(inputs_NCHW), inplace=True)

    def _shortcut(self, inputs_NCHW: Tensor) -> Tensor:
        if self.stride == 1 and self.padded_channels == 0:
            return inputs_NCHW
        strided_NCHW = inputs_NCHW[:, :, :: self.stride, :: self.stride]
        return pad(strided_NCHW, (0, 0, 0, 0, self.padded_channels, self.padded_channels))


def _features(blocks_per_stage: int, in_channels: int) -> nn.Sequential:
    """Everything before the classifier: images_NCHW to features_NF."""
    width = STAGE_CHANNELS[0]
    stem = (_conv3x3(in_channels, width, stride=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
    stages = []
    for channels in STAGE_CHANNELS:
        first = _Block(width, channels, stride=1 if channels == width else 2)
        rest = (_Block(channels, channels, stride=1) for _ in range(blocks_per_stage - 1))
        stages.append(nn.Sequential(first, *rest))
        width = channels
    return nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _conv3x3(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
