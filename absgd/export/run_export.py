"""Export of a run: its model as files, and the card beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import DATASETS, class_names
from absgd.datasets.registered_dataset import normalisation_of, side_of
from absgd.errors import UserError
from absgd.export.destinations import card_of
from absgd.export.image_classifier import ImageClassifier, ModelFacts
from absgd.export.model_card import CardFacts, model_card
from absgd.export.model_file import model_bytes
from absgd.export.onnx_file import onnx_bytes
from absgd.export.search_verdict import kept_verdict
from absgd.records.environment import version_of
from absgd.training import RunFolder, Trainer
from absgd.training.checkpoint import load_checkpoint
from absgd.training.posthoc_adjustment import log_prior_shift

WeightsOf = Literal["last", "best"]
"""Which weights are exported: those of the last epoch, or of the epoch best on validation."""


def check_exports(paths: Sequence[Path], trainer: Trainer, metric: str) -> None:
    """Export the model as it is now into memory, so that what cannot be exported is refused before it is trained.

    Raises:
        UserError: if a format cannot hold the model.
    """
    if paths:
        classifier = _classifier(trainer, trainer.model.state_dict(), metric, None, trainer.config.epochs)
        for path in paths:
            _content(path, classifier)


def write_exports(paths: Sequence[Path], folder: RunFolder, trainer: Trainer, weights: WeightsOf) -> None:
    """Write the model of a run that is complete to each file, whole or not at all, and the card beside it.

    Raises:
        UserError: if a format cannot hold the trained model, or the checkpoint of the best epoch is damaged.
        OSError: if a file cannot be written.
    """
    state, epochs = trainer.model.state_dict(), trainer.config.epochs
    if weights == "best":
        best = load_checkpoint(folder.path / records.BEST_CHECKPOINT)
        state, epochs = best["model"], best["next_epoch"]
    (row,) = records.read_rows(folder.path / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    rows = records.read_rows(folder.path / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
    classifier = _classifier(trainer, state, folder.metric, rows[epochs - 1][folder.metric], epochs)
    for path in paths:
        content = _content(path, classifier)
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write_atomically(path, content)
    for card in dict.fromkeys(map(card_of, paths)):
        files = [path.name for path in paths if card_of(path) == card]
        classes = records.read_rows(folder.path / records.CLASSES_FILE, records.CLASS_SCHEMA)
        facts = CardFacts(classifier.facts, trainer.config, row, classes, kept_verdict(folder.path), files)
        records.write_atomically(card, model_card(facts))


def _classifier(
    trainer: Trainer, state: dict[str, Any], metric: str, value: float | None, epochs: int
) -> ImageClassifier:
    """Return the model of a run with the given weights, on the CPU, in evaluation mode.

    The logits are adjusted post hoc as they are evaluated: after the last epoch alone.
    """
    config, spec = trainer.config, DATASETS[trainer.config.data.name]
    _check_state(config.model.name, state)
    mean, std = normalisation_of(config.data, spec)
    tau = config.loss.posthoc_tau if epochs == config.epochs else 0.0
    posthoc_K = log_prior_shift(trainer.splits.class_counts, tau, torch.device("cpu"))
    facts = ModelFacts(
        config=_without_paths(config),
        split_hash=trainer.splits.hash,
        classes=class_names(config.data, trainer.splits.num_classes),
        mean=mean,
        std=std,
        side=side_of(config.data, spec),
        metric=metric,
        metric_value=value,
        epochs=epochs,
        is_adjusted=posthoc_K is not None,
        version=version_of("absgd-tune") or "unknown",
    )
    classifier = ImageClassifier(facts, posthoc_K)
    classifier.network.load_state_dict({name: tensor.detach().cpu() for name, tensor in state.items()})
    return classifier.eval()


def _check_state(model: str, state: Mapping[str, object]) -> None:
    """Refuse a model whose state is more than tensors, as by torch's `get_extra_state`: no format here can hold it."""
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            found = f"`{name}` is {type(value).__name__}"
            raise UserError(f"expected a model with a state of tensors, got `{model}`: {found} (--export)")


def _without_paths(config: RunConfig) -> RunConfig:
    """Return a config without the folders of this machine, which mean nothing elsewhere."""
    settings = config.to_dict()
    settings["data"]["root"] = settings["model"]["weights"] = None
    return RunConfig.from_dict(settings)


def _content(path: Path, classifier: ImageClassifier) -> bytes:
    return onnx_bytes(classifier) if path.suffix == ".onnx" else model_bytes(classifier)
