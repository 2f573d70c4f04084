"""RunConfig: everything that decides one training run, as frozen data, in YAML and out.

Epochs are counted from 0 everywhere. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from absgd.errors import UserError, broken_rule, nearest, validated
from absgd.yaml_text import dump_yaml, read_yaml

DatasetName = Literal["digits", "fashion_mnist", "cifar10", "cifar100"]
ModelName = Literal["resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56"]
LossName = Literal["ce", "abce"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Epoch = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _epoch_or_switch(value: object) -> object:
    if value == "switch" or (type(value) is int and value >= 0):
        return value
    raise broken_rule("", f"expected `from_epoch` to be an epoch or `switch`, got {value!r}")


EpochOrSwitch = Annotated[Epoch | Literal["switch"], BeforeValidator(_epoch_or_switch)]


class Section(BaseModel):
    """A frozen group of settings; unknown keys and loosely typed values are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataConfig(Section):
    name: DatasetName
    """Data set."""
    root: str | None = None
    """Folder of the data files; without it, the places the data set's documentation names."""
    download: bool = False
    """Let torchvision download the files when they are absent."""
    val_per_class: Count = 30
    """Validation images of each class, cut from the training images before anything else."""
    n_max: Count | None = None
    """Cap on training images per class, applied before imbalance."""


class ImbalanceConfig(Section):
    type: Literal["none", "exp", "step"] = "none"
    """How class sizes fall: not at all, exponentially, or in one step at half the classes."""
    ratio: Fraction = 1.0
    """Smallest class over largest (rho)."""


class NoiseConfig(Section):
    type: Literal["none", "symmetric"] = "none"
    """`symmetric`: an exact fraction of every class moves to a uniformly drawn other class."""
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of each class whose labels are changed."""
    validation: Literal["noisy", "clean"] = "noisy"
    """Whether the validation labels carry the same noise, as they do in practice."""


class AugmentationConfig(Section):
    pad: Annotated[int, Field(ge=0)] | None = None
    """Zero padding in pixels before a random crop to the original size; null: the data set's own."""
    flip: bool | None = None
    """Random horizontal flip; null: the data set's own."""


class ModelConfig(Section):
    name: ModelName = "resnet32"
    """CIFAR ResNet by depth."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a feature before the classifier."""


class LossConfig(Section):
    name: LossName = "abce"
    """Base criterion, with `ab` in front for attention weights over it."""

    @property
    def is_attentive(self) -> bool:
        """Whether attention weights stand over the base criterion."""
        return self.name.startswith("ab")

    @property
    def base(self) -> str:
        """Name of the base criterion.

        >>> LossConfig(name="abce").base
        'ce'
        """
        return self.name.removeprefix("ab")


class AttentionConfig(Section):
    lam: float
    """lambda, non-zero: positive weighs hard samples more, negative less; large is plain SGD."""
    gamma: Fraction
    """Weight of the newest batch in the moving average."""
    ab_alpha: Fraction
    """abAlpha: weights sum to about 1 / ab_alpha in the steady state."""
    switch_epoch: Epoch
    """First epoch of stage two, counted from 0."""


class ClassBalanceConfig(Section):
    type: Literal["none", "reweight"] = "none"
    """`reweight`: the base criterion is weighted by effective number."""
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """beta of the effective number (1 - beta^n) / (1 - beta)."""
    from_epoch: EpochOrSwitch = 0
    """First epoch at which class weights act; `switch`: with stage two."""


class OptimizerConfig(Section):
    lr: Annotated[float, Field(gt=0)] = 0.1
    """Base learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: Annotated[float, Field(ge=0)] = 2e-4
    """L2 penalty."""


class ScheduleConfig(Section):
    type: Literal["constant", "step", "cosine"] = "constant"
    """Course of the learning rate after the warm-up."""
    warmup_epochs: Epoch = 0
    """Epochs over which the learning rate rises linearly; epoch e < warmup_epochs uses (e + 1) / warmup_epochs."""
    milestones: Annotated[tuple[Epoch, ...], Field(strict=False)] = ()
    """`step`: epochs from which the learning rate is multiplied by `factor` once more."""
    factor: Fraction = 0.1
    """`step`: the multiplier at each milestone."""


class SeedConfig(Section):
    data: Seed = 0
    """Decides validation cut, imbalance and noise."""
    train: Seed = 0
    """Decides initial weights, batch order, augmentation and dropout."""


class DeviceConfig(Section):
    type: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: the GPU when there is one."""
    threads: Count | None = None
    """CPU threads of torch; null: torch's own choice. On CPU the same number gives the same bits."""


class RunConfig(Section):
    """Everything that decides one training run."""

    data: DataConfig
    imbalance: ImbalanceConfig = ImbalanceConfig()
    noise: NoiseConfig = NoiseConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    attention: AttentionConfig | None = None
    """Required by losses that begin with `ab`, unused by the others."""
    class_balance: ClassBalanceConfig = ClassBalanceConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: Count = 200
    """Epochs of the whole run, both stages."""
    batch_size: Count = 128
    """Images per step."""
    seeds: SeedConfig = SeedConfig()
    device: DeviceConfig = DeviceConfig()

    @model_validator(mode="after")
    def _check_rules(self) -> RunConfig:
        for key, message in _broken_rules(self):
            raise broken_rule(key, message)
        return self

    @classmethod
    def from_dict(cls, data: object, source: str = "configuration") -> RunConfig:
        """A config from plain mappings and scalars.

        Raises:
            UserError: naming `source`, the key, the rule and the value.
        """
        return validated(cls, data, source)

    @classmethod
    def from_yaml(cls, path: str | Path) -> RunConfig:
        """A config from a YAML file.

        Raises:
            UserError: if the file cannot be read or a rule is broken.
        """
        return cls.from_dict(read_yaml(Path(path)), str(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain mappings, lists and scalars, every field present."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """YAML text that `from_yaml` reads back to an equal config."""
        return dump_yaml(self.to_dict())

    def with_values(self, values: Mapping[str, Any], source: str = "configuration") -> RunConfig:
        """A copy with the values at dotted keys replaced, checked as a whole.

        >>> RunConfig(data=DataConfig(name="digits"), loss=LossConfig(name="ce")).with_values({"epochs": 3}).epochs
        3

        Raises:
            UserError: if a key does not exist or a rule is broken.
        """
        return self.from_dict(merge_dotted(self.to_dict(), values, source), source)

    def unused_settings(self) -> list[str]:
        """Sentences about settings that are given but do not act in this run."""
        if self.attention is not None and not self.loss.is_attentive:
            return [f"loss `{self.loss.name}` has no attention weights: `attention` is not used"]
        return []

    def stage_one(self) -> RunConfig:
        """The part that decides stage one: what lam, gamma, ab_alpha and switch_epoch cannot change.

        It is itself a run: plain training on the base criterion to the last epoch, the plain control.
        Source: arXiv 2012.06951, the two-stage schedule.
        """
        plain: dict[str, Any] = {"loss": {**self.to_dict()["loss"], "name": self.loss.base}, "attention": None}
        if self.class_balance.from_epoch == "switch":
            plain["class_balance"] = ClassBalanceConfig().model_dump()
        return RunConfig.from_dict({**self.to_dict(), **plain})

    def stage_one_key(self) -> str:
        """Hash (16 hex digits) of `stage_one`; where the data lies does not enter it."""
        decisive = self.stage_one().to_dict()
        del decisive["data"]["root"], decisive["data"]["download"]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _broken_rules(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Key and message of every rule between fields that `config` breaks."""
    epochs, attention, balance, schedule = config.epochs, config.attention, config.class_balance, config.schedule
    if config.loss.is_attentive and attention is None:
        yield "attention", f"expected `attention` with loss `{config.loss.name}`, got nothing"
    if attention is not None and attention.lam == 0:
        yield "attention.lam", "expected `lam` != 0, got 0"
    if attention is not None and attention.switch_epoch >= epochs:
        yield (
            "attention.switch_epoch",
            f"expected `switch_epoch` < `epochs` ({epochs}), got {attention.switch_epoch}",
        )
    if config.imbalance.type == "none" and config.imbalance.ratio != 1:
        yield "imbalance.ratio", f"expected `ratio` = 1 with imbalance type `none`, got {config.imbalance.ratio}"
    if config.noise.type == "none" and config.noise.rate != 0:
        yield "noise.rate", f"expected `rate` = 0 with noise type `none`, got {config.noise.rate}"
    if balance.type == "none" and balance.from_epoch != 0:
        yield "class_balance.from_epoch", "expected `from_epoch` only with class balance type `reweight`"
    if balance.from_epoch == "switch" and not config.loss.is_attentive:
        yield (
            "class_balance.from_epoch",
            f"expected an epoch, got `switch`: loss `{config.loss.name}` has no stage two",
        )
    if isinstance(balance.from_epoch, int) and balance.from_epoch >= epochs:
        yield "class_balance.from_epoch", f"expected `from_epoch` < `epochs` ({epochs}), got {balance.from_epoch}"
    yield from _broken_schedule_rules(schedule, epochs)


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


def merge_dotted(data: Mapping[str, Any], values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`data` (a RunConfig or a part of one as plain mappings) with the values at dotted keys replaced.

    Raises:
        UserError: if a key names no setting of RunConfig.
    """
    merged: dict[str, Any] = json.loads(json.dumps(data))
    for key, value in values.items():
        check_key(key, source)
        *parents, leaf = key.split(".")
        node = merged
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                node[parent] = {}
            node = node[parent]
        node[leaf] = value
    return merged


def check_key(key: str, source: str) -> None:
    """Refuse a dotted key that names no setting or section of RunConfig.

    Raises:
        UserError: naming the nearest setting.
    """
    sections = {name.split(".")[0] for name in setting_keys()}
    if key not in setting_keys() and key not in sections:
        raise UserError(f"unknown key `{key}`{nearest(key, setting_keys())} ({source}: {key})")


def setting_keys() -> tuple[str, ...]:
    """Dotted keys of every single setting of RunConfig, in order."""
    return tuple(_setting_keys(RunConfig))


def _setting_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = AttentionConfig if name == "attention" else field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from (f"{name}.{key}" for key in _setting_keys(inner))
        else:
            yield name
