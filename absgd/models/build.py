"""The one table of models, and the model of a ModelConfig built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from absgd.config.sections import ModelConfig, ModelName
from absgd.errors import UserError
from absgd.models.cnn import EightLayerCNN
from absgd.models.pretrained_weights import load_weights
from absgd.models.resnet_cifar import CifarResNet
from absgd.models.torchvision_resnet import Architecture, TorchvisionResNet
from absgd.paths import expanded

ModelBuilder = Callable[[ModelConfig, int, int], nn.Module]
"""A freshly initialised model from its settings, the channels of the images and the number of classes."""


def _cifar_resnet(depth: int) -> ModelBuilder:
    def build(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
        return CifarResNet(depth, in_channels, num_classes, config.dropout, config.head)

    return build


def _eight_layer_cnn(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
    return EightLayerCNN(in_channels, num_classes, config.dropout, config.head)


def _cifar_stem(architecture: Architecture) -> ModelBuilder:
    def build(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
        return TorchvisionResNet(architecture, "cifar", in_channels, num_classes, config.dropout, config.head)

    return build


def _imagenet_stem(architecture: Architecture) -> ModelBuilder:
    def build(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
        if config.weights is not None and in_channels != 3:
            channels = f"{in_channels} channel{'s' if in_channels > 1 else ''}"
            raise UserError(f"expected images of 3 channels with `weights`, got {channels} (model.weights)")
        model = TorchvisionResNet(architecture, "imagenet", in_channels, num_classes, config.dropout, config.head)
        if config.weights is not None:
            load_weights(model, expanded(config.weights, "model.weights"))
        return model

    return build


MODELS: Mapping[ModelName, ModelBuilder] = {
    "resnet8": _cifar_resnet(8),
    "resnet14": _cifar_resnet(14),
    "resnet20": _cifar_resnet(20),
    "resnet32": _cifar_resnet(32),
    "resnet44": _cifar_resnet(44),
    "resnet56": _cifar_resnet(56),
    "cnn8": _eight_layer_cnn,
    "resnet18_cifar": _cifar_stem("resnet18"),
    "resnet34_cifar": _cifar_stem("resnet34"),
    "resnet18": _imagenet_stem("resnet18"),
    "resnet50": _imagenet_stem("resnet50"),
}
"""Models by name."""


def build_model(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
    """The model that `config` asks for, on the CPU, in training mode: images_NCHW to logits_NK.

    With `head` `cosine` the logits are cosines in [-1, 1]. Initial weights come from torch's global generator (build
    inside `randomness.seeded_globally(seed, "init")`) or, as far as it holds them, from the file `config.weights`.

    >>> from absgd.randomness import seeded_globally
    >>> with seeded_globally(0, "init"):
    ...     model = build_model(ModelConfig(name="resnet8"), in_channels=1, num_classes=10)

    Args:
        config: name and options of the model.
        in_channels: channels of the images.
        num_classes: number of logits.

    Raises:
        UserError: if `config.weights` cannot be read, or belongs to another architecture or to other channels.
    """
    return MODELS[config.name](config, in_channels, num_classes)
