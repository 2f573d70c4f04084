"""Rules between the sections of a run, and settings that are given but do not act in it.

A run is anything with the sections of RunConfig, which stands above this module and calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from absgd.config.sections import (
    AttentionConfig,
    AugmentationConfig,
    ClassBalanceConfig,
    DataConfig,
    DeviceConfig,
    ImbalanceConfig,
    LossConfig,
    ModelConfig,
    NoiseConfig,
    OptimizerConfig,
    ScheduleConfig,
    Section,
)

IN_MEMORY = ("digits", "fashion_mnist", "cifar10", "cifar100")
"""Data sets held in memory as a whole; the others are read image by image."""
OWN_VALIDATION = ("imagenet_lt", "places_lt", "clothing1m", "imagefolder")
"""Data sets that can come with a validation part beside their test set."""
NOISE_OF = {"cifar10_pairs": "cifar10", "cifar100_blocks": "cifar100", "cifar100_superclasses": "cifar100"}
"""Noise that only one data set has the classes for."""
WITH_WEIGHTS = ("resnet18", "resnet50")
"""Models that torchvision publishes weights for."""


class Run(Protocol):
    """The sections of a run that rules look at."""

    @property
    def data(self) -> DataConfig: ...
    @property
    def imbalance(self) -> ImbalanceConfig: ...
    @property
    def noise(self) -> NoiseConfig: ...
    @property
    def augmentation(self) -> AugmentationConfig: ...
    @property
    def model(self) -> ModelConfig: ...
    @property
    def loss(self) -> LossConfig: ...
    @property
    def attention(self) -> AttentionConfig | None: ...
    @property
    def class_balance(self) -> ClassBalanceConfig: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...
    @property
    def schedule(self) -> ScheduleConfig: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def device(self) -> DeviceConfig: ...


def broken_run_rules(run: Run) -> Iterator[tuple[str, str]]:
    """Dotted key and message of every rule between settings that a run breaks."""
    yield from _broken_attention_rules(run)
    yield from _broken_data_rules(run)
    yield from _broken_loss_rules(run)
    yield from _broken_balance_rules(run)
    yield from _broken_schedule_rules(run.schedule, run.epochs)
    yield from _broken_device_rules(run.device, run.model)
    if run.device.ranks > run.batch_size:
        yield "device.ranks", f"expected `ranks` <= `batch_size` ({run.batch_size}), got {run.device.ranks}"


def _broken_attention_rules(run: Run) -> Iterator[tuple[str, str]]:
    attention, epochs = run.attention, run.epochs
    if attention is None:
        if run.loss.is_attentive:
            yield "attention", f"expected `attention` with loss `{run.loss.name}`, got nothing"
        return
    if attention.lam == 0:
        yield "attention.lam", "expected `lam` != 0, got 0"
    if attention.switch_epoch >= epochs:
        yield "attention.switch_epoch", f"expected `switch_epoch` < `epochs` ({epochs}), got {attention.switch_epoch}"


def _broken_data_rules(run: Run) -> Iterator[tuple[str, str]]:
    data, imbalance, noise = run.data, run.imbalance, run.noise
    if imbalance.type == "none" and imbalance.ratio != 1:
        yield "imbalance.ratio", f"expected `ratio` = 1 with imbalance type `none`, got {imbalance.ratio}"
    if noise.type == "none" and noise.rate != 0:
        yield "noise.rate", f"expected `rate` = 0 with noise type `none`, got {noise.rate}"
    if NOISE_OF.get(noise.type, data.name) != data.name:
        yield "noise.type", f"expected noise `{noise.type}` with data `{NOISE_OF[noise.type]}` only, got `{data.name}`"
    if data.validation == "own" and data.name not in OWN_VALIDATION:
        yield "data.validation", f"expected `cut`: data `{data.name}` has no validation list of its own"
    if data.validation == "own" and noise.type != "none" and noise.validation == "noisy":
        yield "noise.validation", "expected `clean` with the data set's own validation: its labels get no noise"
    if (data.mean is None) != (data.std is None):
        yield "data.mean", "expected `mean` and `std` together, got one of them"


def _broken_loss_rules(run: Run) -> Iterator[tuple[str, str]]:
    loss, model = run.loss, run.model
    if (loss.base == "ldam") != (model.head == "cosine"):
        wanted = "cosine" if loss.base == "ldam" else "linear"
        yield "model.head", f"expected `head` `{wanted}` with loss `{loss.name}`, got `{model.head}`"
    if loss.tce_prune_from is not None and loss.base != "tce":
        yield "loss.tce_prune_from", f"expected `tce_prune_from` with loss `tce` or `abtce` only, got `{loss.name}`"
    if loss.tce_prune_from is not None and loss.tce_prune_from >= run.epochs:
        yield "loss.tce_prune_from", f"expected `tce_prune_from` < `epochs` ({run.epochs}), got {loss.tce_prune_from}"
    if model.weights is not None and model.name not in WITH_WEIGHTS:
        yield "model.weights", f"expected `weights` with {' or '.join(WITH_WEIGHTS)} only, got `{model.name}`"
    if run.optimizer.fc1_weight_decay is not None and model.name != "cnn8":
        yield "optimizer.fc1_weight_decay", f"expected `fc1_weight_decay` with model `cnn8` only, got `{model.name}`"


def _broken_balance_rules(run: Run) -> Iterator[tuple[str, str]]:
    balance = run.class_balance
    key = "class_balance.from_epoch"
    if balance.type == "none" and balance.from_epoch != 0:
        yield key, "expected `from_epoch` only with class balance type `reweight` or `resample`"
    if balance.from_epoch == "switch" and not run.loss.is_attentive:
        yield key, f"expected an epoch, got `switch`: loss `{run.loss.name}` has no stage two"
    if isinstance(balance.from_epoch, int) and balance.from_epoch >= run.epochs:
        yield key, f"expected `from_epoch` < `epochs` ({run.epochs}), got {balance.from_epoch}"


def _broken_schedule_rules(schedule: ScheduleConfig, epochs: int) -> Iterator[tuple[str, str]]:
    milestones = schedule.milestones
    if schedule.warmup_epochs >= epochs:
        yield "schedule.warmup_epochs", f"expected `warmup_epochs` < `epochs` ({epochs}), got {schedule.warmup_epochs}"
    if (schedule.type == "step") != bool(milestones):
        yield (
            "schedule.milestones",
            f"expected milestones with schedule `step` only, got {list(milestones)} with `{schedule.type}`",
        )
    if list(milestones) != sorted(set(milestones)):
        yield "schedule.milestones", f"expected `milestones` in rising order, got {list(milestones)}"
    if milestones and milestones[-1] >= epochs:
        yield "schedule.milestones", f"expected every milestone < `epochs` ({epochs}), got {milestones[-1]}"


def _broken_device_rules(device: DeviceConfig, model: ModelConfig) -> Iterator[tuple[str, str]]:
    if not device.cuda_graph:
        return
    if device.type == "cpu":
        yield "device.cuda_graph", "expected `cuda_graph` with a CUDA device only, got device `cpu`"
    if device.ranks > 1:
        yield "device.cuda_graph", f"expected `cuda_graph` with one process alone, got `ranks` {device.ranks}"
    if model.dropout:
        yield (
            "device.cuda_graph",
            f"expected `cuda_graph` with `model.dropout` = 0, since a captured graph repeats its random draws, "
            f"got {model.dropout}",
        )


def unused_run_settings(run: Run) -> Iterator[str]:
    """Sentences about settings that differ from their defaults but do not act in the run."""
    if run.attention is not None and not run.loss.is_attentive:
        yield f"loss `{run.loss.name}` has no attention weights: `attention` is not used"
    for prefix in ("focal", "ldam", "sce", "tce"):
        for name in _changed(run.loss):
            if name.startswith(f"{prefix}_") and run.loss.base != prefix:
                yield f"loss `{run.loss.name}` is not `{prefix}`: `loss.{name}` is not used"
    for name in ("side", "workers", "on_bad_image"):
        if run.data.name in IN_MEMORY and name in _changed(run.data):
            yield f"data `{run.data.name}` is held in memory: `data.{name}` is not used"
    if run.noise.type == "none" and "validation" in _changed(run.noise):
        yield "there is no label noise: `noise.validation` is not used"
    if run.schedule.type != "step" and "factor" in _changed(run.schedule):
        yield f"schedule `{run.schedule.type}` has no steps: `schedule.factor` is not used"
    if run.loss.name == "tce" and run.loss.tce_prune_from is None:
        yield "loss `tce` leaves no sample out without `loss.tce_prune_from`: `loss.tce_k` only bounds the loss"
    if run.class_balance.type == "none" and "beta" in _changed(run.class_balance):
        yield "there is no class balance: `class_balance.beta` is not used"
    if run.data.validation == "own" and "val_per_class" in _changed(run.data):
        yield "validation is the data set's own: `data.val_per_class` is not used"


def _changed(section: Section) -> list[str]:
    """Names of the fields that differ from their defaults."""
    fields = type(section).model_fields
    return [name for name, field in fields.items() if getattr(section, name) != field.default]
