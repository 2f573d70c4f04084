"""A trained network with the normalisation and the post-hoc adjustment that belong to it, and the facts about it.

Suffixes: N images, C channels, H rows, W columns, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from absgd.config import RunConfig
from absgd.config.sections import Section
from absgd.config.setting_types import Count
from absgd.errors import UserError, broken_rule, validated
from absgd.models import build_model
from absgd.randomness import seeded_globally
from absgd.yaml_text import parse_yaml


class ModelFacts(Section):
    """The facts about an exported model that its file holds beside the weights."""

    config: RunConfig
    """The run; its paths are left out."""
    split_hash: str
    """Hash of the data split, as in trials.parquet."""
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """Name of each class, in the order of the logits."""
    mean: Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=16)]
    """Mean of each channel, for values in [0, 1]."""
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)]
    """Standard deviation of each channel."""
    side: Count
    """Rows and columns of the images that it was trained on."""
    metric: str
    """Validation metric of the run."""
    metric_value: float | None
    """Its value after the epoch of the weights."""
    epochs: Count
    """Epochs after which the weights were taken."""
    is_adjusted: bool
    """Whether the logits are adjusted post hoc."""
    version: str
    """Version of absgd-tune that wrote the file."""

    @model_validator(mode="after")
    def _check_channels(self) -> ModelFacts:
        if len(self.std) != len(self.mean):
            raise broken_rule("std", f"expected a deviation for each of {len(self.mean)} means, got {len(self.std)}")
        return self

    def to_metadata(self) -> dict[str, str]:
        """Return the facts as text: the config as YAML, everything else as JSON."""
        plain = self.model_dump(mode="json", exclude={"config"})
        return {"config": self.config.to_yaml(), **{key: json.dumps(value) for key, value in plain.items()}}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> ModelFacts:
        """Return the facts in the metadata of a file.

        Raises:
            UserError: if they are not those that `to_metadata` writes, or the model needs a plugin that is not loaded.
        """
        if "config" not in metadata or "split_hash" not in metadata:
            raise UserError(f"expected a model that `absgd-train --export` has written, got another file ({source})")
        config = parse_yaml(metadata["config"], source)
        try:
            facts = {key: json.loads(metadata[key]) for key in cls.model_fields if key in metadata and key != "config"}
        except (ValueError, RecursionError):
            raise UserError(f"expected metadata in JSON ({source})") from None
        try:
            return validated(cls, {**facts, "config": config}, source)
        except UserError as error:
            needs_plugin = isinstance(config, Mapping) and config.get("plugins")
            hint = "; in Python: absgd.plugins.load_plugin(PATH) before load_model" if needs_plugin else ""
            raise UserError(f"{error}{hint}") from None


class ImageClassifier(nn.Module):
    """logits_NK of images_NCHW: normalises, applies the network and adjusts its logits as the run did.

    Args:
        facts: say how the network is built and how images are normalised.
        posthoc_K: subtracted from the logits; None: nothing is.
    """

    mean_C11: Tensor
    std_C11: Tensor
    posthoc_K: Tensor | None

    def __init__(self, facts: ModelFacts, posthoc_K: Tensor | None = None) -> None:
        super().__init__()
        self.facts = facts
        model = facts.config.resolved().model.model_copy(update={"weights": None})
        with seeded_globally(0, "init"):  # the weights follow; the caller's generator stays as it is
            self.network = build_model(model, len(facts.mean), len(facts.classes), facts.side)
        self.register_buffer("mean_C11", torch.tensor(facts.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std_C11", torch.tensor(facts.std).view(-1, 1, 1), persistent=False)
        if facts.is_adjusted and posthoc_K is None:
            posthoc_K = torch.zeros(len(facts.classes))
        self.register_buffer("posthoc_K", posthoc_K)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """logits_NK, float32.

        Args:
            images_NCHW: uint8 as they are in files, which are normalised here; or floating, normalised already.
        """
        if images_NCHW.dtype == torch.uint8:
            images_NCHW = images_NCHW.to(torch.float32).div(255).sub(self.mean_C11).div(self.std_C11)
        logits_NK: Tensor = self.network(images_NCHW)
        return logits_NK if self.posthoc_K is None else logits_NK - self.posthoc_K
