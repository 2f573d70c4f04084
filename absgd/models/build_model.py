"""The model of a ModelConfig, out of the table of models."""

from __future__ import annotations

from pkgutil import resolve_name

from torch import nn

from absgd.config.sections import ModelConfig
from absgd.registry.model_table import MODELS


def build_model(config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
    """Build the model that `config` asks for, on the CPU, in training mode: images_NCHW to logits_NK.

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
    spec = MODELS[config.name]
    model: nn.Module = resolve_name(spec.builder)(config, in_channels, num_classes, **spec.arguments)
    return model
