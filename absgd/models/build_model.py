"""The model of a ModelConfig, out of the table of models."""

from __future__ import annotations

from pkgutil import resolve_name

from torch import nn

from absgd.config.sections import ModelConfig
from absgd.models.own_model_check import check_own_model
from absgd.plugins.part_errors import errors_of
from absgd.registry.model_table import MODELS


def build_model(config: ModelConfig, in_channels: int, num_classes: int, side: int = 32) -> nn.Module:
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
        side: rows and columns of the images, for models that are built for one size.

    Raises:
        UserError: if a plugin's model gives other outputs than these; if `config.weights` cannot be read, or belongs to
            another architecture or to other channels.
    """
    spec = MODELS[config.name]
    sized = {"side": side} if spec.takes_side else {}
    with errors_of(spec.plugin, config.name):
        model: nn.Module = resolve_name(spec.builder)(config, in_channels, num_classes, **spec.arguments, **sized)
    if spec.plugin is not None:
        check_own_model(model, config.name, spec.plugin, (in_channels, side, side), num_classes)
    return model
