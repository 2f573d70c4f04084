"""The one table of models, and the model of a ModelConfig built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from absgd.config import ModelConfig, ModelName
from absgd.models.resnet_cifar import CifarResNet

ModelBuilder = Callable[[ModelConfig, int, int], nn.Module]
"""A freshly initialised model from its settings, the channels of the images and the number of classes."""


def _cifar_resnet(depth: int) -> ModelBuilder:
    def build(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
        return CifarResNet(depth, in_channels, num_classes, config.dropout)

    return build


MODELS: Mapping[ModelName, ModelBuilder] = {
    "resnet8": _cifar_resnet(8),
    "resnet14": _cifar_resnet(14),
    "resnet20": _cifar_resnet(20),
    "resnet32": _cifar_resnet(32),
    "resnet44": _cifar_resnet(44),
    "resnet56": _cifar_resnet(56),
}
"""Models by name."""


def build_model(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
    """The model that `config` asks for, on the CPU, in training mode: images_NCHW to logits_NK.

    Initial weights come from torch's global generator: build inside `randomness.seeded_globally(seed, "init")`.

    >>> from absgd.randomness import seeded_globally
    >>> with seeded_globally(0, "init"):
    ...     model = build_model(ModelConfig(name="resnet8"), in_channels=1, num_classes=10)

    Args:
        config: name and options of the model.
        in_channels: channels of the images.
        num_classes: number of logits.
    """
    return MODELS[config.name](config, in_channels, num_classes)
