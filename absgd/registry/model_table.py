"""The table of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Head = Literal["linear", "cosine"]
"""Kind of the last layer, the classifier."""


@dataclass(frozen=True)
class ModelSpec:
    """A model: how it is built, and the settings that only some models accept."""

    builder: str
    """`module:function` that builds the model from a ModelConfig, the channels of the images and the number of classes,
    with `arguments` as keywords."""
    arguments: Mapping[str, int | str] = field(default_factory=dict)
    """Keyword arguments of the builder that distinguish this model from others that it builds."""
    has_published_weights: bool = False
    """Whether `model.weights` can name a file of weights that torchvision publishes for it."""
    settings: tuple[str, ...] = ()
    """Dotted settings that are refused with every model that does not list them."""
    heads: tuple[Head, ...] = ("linear", "cosine")
    """Classifiers that it can have."""
    takes_dropout: bool = True
    """Whether it reads `model.dropout`."""
    takes_side: bool = False
    """Whether its builder also gets the rows and columns of the images, as the keyword `side`."""
    options: type[Any] | None = None
    """Pydantic model of `model.options`; None: it has none."""
    plugin: str | None = None
    """Name of the plugin that declares it; None: built in."""


def _cifar_resnet(depth: int) -> ModelSpec:
    return ModelSpec("absgd.models.resnet_cifar:build", {"depth": depth})


def _resnet_with_cifar_stem(architecture: str) -> ModelSpec:
    return ModelSpec("absgd.models.torchvision_resnet:build_with_cifar_stem", {"architecture": architecture})


def _resnet_for_imagenet(architecture: str) -> ModelSpec:
    builder = "absgd.models.pretrained_weights:build_for_imagenet"
    return ModelSpec(builder, {"architecture": architecture}, has_published_weights=True)


MODELS: dict[str, ModelSpec] = {
    "resnet8": _cifar_resnet(8),
    "resnet14": _cifar_resnet(14),
    "resnet20": _cifar_resnet(20),
    "resnet32": _cifar_resnet(32),
    "resnet44": _cifar_resnet(44),
    "resnet56": _cifar_resnet(56),
    "cnn8": ModelSpec("absgd.models.cnn:build", settings=("optimizer.fc1_weight_decay",)),
    "resnet18_cifar": _resnet_with_cifar_stem("resnet18"),
    "resnet34_cifar": _resnet_with_cifar_stem("resnet34"),
    "resnet18": _resnet_for_imagenet("resnet18"),
    "resnet50": _resnet_for_imagenet("resnet50"),
}
"""Models by name."""
