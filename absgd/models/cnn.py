"""The eight-layer convolutional network of the noisy CIFAR-10 recipe.

Suffixes: N images, C channels, H height, W width, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu

from absgd.config.sections import ModelConfig
from absgd.models.classifier import HeadName, build_classifier
from absgd.models.dropout import SeededDropout
from absgd.models.layers import BatchNorm1d, BatchNorm2d, initialise_he_normal

BLOCK_CHANNELS = (64, 128, 196)
GRID_SIDE = 4
"""Side of the grid that the first fully connected layer sees: CIFAR's 32 pixels halved by three poolings."""


class EightLayerCNN(nn.Module):
    """Six 3x3 convolutions in pairs of 64, 128 and 196 channels, each pair pooled, and two fully connected layers.

    Batch norm and ReLU follow every layer except the last, so these layers have no bias. The first fully connected
    layer, `fc1`, has 256 outputs and reads a 4x4 grid: the size of 32 pixels after three poolings; for other sides
    the last maps are averaged or repeated into that grid. Dropout precedes the classifier. Weights come from
    torch's global generator, He-normal by fan-in, biases zero. For 3 channels and 10 classes: 1,638,762 parameters.

    >>> import torch
    >>> EightLayerCNN(in_channels=1, num_classes=10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Source: Wang et al., arXiv 1908.06112, section 4.2, with the widths of their repository
    (YisenWang/symmetric_cross_entropy_for_noisy_labels, models.py), which the ABSGD authors' noisy CIFAR-10 uses.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.0, head: HeadName = "linear") -> None:
        """A freshly initialised network.

        Args:
            in_channels: channels of the images.
            num_classes: number of logits K.
            dropout: probability of dropping a feature before the classifier, in [0, 1).
            head: kind of classifier.

        Raises:
            ValueError: if `dropout` is out of its range.
        """
        super().__init__()
        self.num_features = 256
        self.convolutions = nn.Sequential(*_blocks(in_channels))
        self.fc1 = nn.Linear(BLOCK_CHANNELS[-1] * GRID_SIDE**2, self.num_features, bias=False)
        self.fc1_norm = BatchNorm1d(self.num_features)
        self.dropout = SeededDropout(dropout)
        self.classifier = build_classifier(head, self.num_features, num_classes)
        self.apply(initialise_he_normal)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """features_NF, not negative, of normalised floating images whose sides are 8 pixels or more."""
        maps_NCHW: Tensor = self.convolutions(images_NCHW)
        if maps_NCHW.shape[2:] != (GRID_SIDE, GRID_SIDE):
            maps_NCHW = adaptive_avg_pool2d(maps_NCHW, GRID_SIDE)
        return relu(self.fc1_norm(self.fc1(maps_NCHW.flatten(start_dim=1))), inplace=True)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """logits_NK of normalised floating images whose sides are 8 pixels or more."""
        logits_NK: Tensor = self.classifier(self.dropout(self.features(images_NCHW)))
        return logits_NK


def build(config: ModelConfig, in_channels: int, num_classes: int) -> EightLayerCNN:
    """Build the model of a run, as the table of models asks for it."""
    return EightLayerCNN(in_channels, num_classes, config.dropout, config.head)


def _blocks(in_channels: int) -> Iterator[nn.Module]:
    for channels in BLOCK_CHANNELS:
        for width in (in_channels, channels):
            yield nn.Conv2d(width, channels, kernel_size=3, padding=1, bias=False)
            yield BatchNorm2d(channels)
            yield nn.ReLU(inplace=True)
        yield nn.MaxPool2d(2)
        in_channels = channels
