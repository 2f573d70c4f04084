"""The sections of a RunConfig: frozen groups of settings, each field with its meaning and its range.

Rules between fields are in rules.py, which RunConfig calls. Epochs are counted from 0 everywhere. Nothing here imports
torch.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from absgd.config.part_options import NO_OPTIONS, DataOptions, LossOptions, ModelOptions
from absgd.config.registered_names import DatasetName, LossName, ModelName
from absgd.config.setting_types import (
    LARGEST_TILT,
    Count,
    Epoch,
    EpochOrSwitch,
    Fraction,
    PathText,
    Penalty,
    PluginIdentity,
    Rate,
    Seed,
    TitleText,
)
from absgd.plugins.loading import load_shipped
from absgd.registry.loss_table import LOSSES, LossSpec, base_criterion, is_attentive
from absgd.registry.model_table import Head
from absgd.registry.plugin_table import PartKind, Plugin, plugin_of


class Section(BaseModel):
    """A frozen group of settings; unknown keys and loosely typed values are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class _PartSection(Section):
    """A section that names a part. Pickled, it takes the source of the part's plugin along, to be loaded first."""

    _kind: ClassVar[PartKind]

    def __reduce_ex__(self, protocol: Any) -> Any:
        plugin = plugin_of(self._kind, getattr(self, "name", None))
        if plugin is None:
            return super().__reduce_ex__(protocol)
        return _unpickled, (plugin, type(self), self.model_dump(exclude_unset=True))


def _unpickled(plugin: Plugin, section: type[_PartSection], values: dict[str, Any]) -> _PartSection:
    load_shipped(plugin)
    return section.model_validate(values)


class DataConfig(_PartSection):
    _kind = "data"

    name: DatasetName
    """Data set."""
    title: TitleText | None = None
    """Name of the data in tables, reports and names of scenarios; null: that of the data set, or of the folder."""
    root: PathText | None = None
    """Folder of the data files; without it, the places the data set's documentation names."""
    download: bool = False
    """Let torchvision download the files when they are absent."""
    val_per_class: Count = 30
    """Validation images of each class, cut from the training images before anything else."""
    n_max: Count | None = None
    """Cap on training images per class, applied before imbalance."""
    validation: Literal["cut", "own"] = "cut"
    """`cut`: `val_per_class` training images of each class; `own`: the data set's own validation list."""
    mean: Annotated[tuple[float, ...], Field(strict=False)] | None = None
    """Mean of each channel, values in [0, 1], for normalisation; null: the data set's own."""
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)] | None = None
    """Standard deviation of each channel; null: the data set's own."""
    side: Annotated[int, Field(ge=1, le=8192)] | None = None
    """Data sets on disk: side in pixels of the images trained on; null: the data set's own."""
    resize: Literal["crop", "whole"] = "crop"
    """Data sets on disk: `crop` trains on and evaluates a part of each image; `whole` resizes all of it to the side."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 2
    """Data sets on disk: processes that read images; 0 reads in the training process."""
    on_bad_image: Literal["error", "skip"] = "error"
    """Data sets on disk: effect of a missing or broken image; `skip` leaves it out and reports their number."""
    on_duplicate: Literal["refuse", "keep"] = "refuse"
    """Data sets on disk: effect of an image that is given twice, or in two parts; `keep` trains on it as it is."""
    options: Annotated[DataOptions, Field(validate_default=True)] = NO_OPTIONS
    """Settings that a data set of your own declares: docs/own-parts.md."""


class ImbalanceConfig(Section):
    type: Literal["none", "exp", "step"] = "none"
    """Shape of the class sizes: as they are, falling exponentially, or falling in one step at half the classes."""
    ratio: Fraction = 1.0
    """Smallest class over largest (rho)."""


NoiseType = Literal[
    "none",
    "symmetric",
    "symmetric_all",
    "pair_flip",
    "cifar10_pairs",
    "cifar100_blocks",
    "cifar100_superclasses",
]


class NoiseConfig(Section):
    type: NoiseType = "none"
    """Kind of label noise on an exact fraction of every class; docs/label-noise.md lists the kinds."""
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of each class whose labels are changed."""
    validation: Literal["noisy", "clean"] = "noisy"
    """Whether the validation labels carry the same noise, as they do in practice."""


class AugmentationConfig(Section):
    pad: Annotated[int, Field(ge=0, le=8192)] | None = None
    """Zero padding in pixels before a random crop to the original size; null: the data set's own."""
    flip: bool | None = None
    """Random horizontal flip; null: the data set's own."""
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest angle of the random rotation, in degrees to either side."""


class ModelConfig(_PartSection):
    _kind = "model"

    name: ModelName = "resnet32"
    """`resnet8` to `resnet56`, `resnet18_cifar`, `resnet34_cifar`, `cnn8`: for small images; others: ImageNet's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a feature before the classifier."""
    head: Literal["auto", Head] = "auto"
    """Classifier: linear, or cosine of features and class vectors, which `ldam` needs; `auto`: what the loss needs."""
    weights: PathText | None = None
    """File of initial weights for `resnet18` and `resnet50`, as torchvision publishes them; null: random."""
    options: Annotated[ModelOptions, Field(validate_default=True)] = NO_OPTIONS
    """Settings that a model of your own declares: docs/own-parts.md."""


class LossConfig(_PartSection):
    _kind = "loss"

    name: LossName = "abce"
    """Base criterion, with `ab` in front for attention weights over it."""
    focal_gamma: Annotated[float, Field(ge=0)] = 1.0
    """focal: exponent of (1 - p_y)."""
    ldam_max_margin: Annotated[float, Field(gt=0)] = 0.5
    """ldam: margin of the rarest class."""
    ldam_scale: Annotated[float, Field(gt=0)] = 30.0
    """ldam: factor s of the logits."""
    sce_alpha: Annotated[float, Field(ge=0)] = 0.1
    """sce: weight of the cross entropy."""
    sce_beta: Annotated[float, Field(ge=0)] = 1.0
    """sce: weight of the reverse cross entropy."""
    tce_q: Fraction = 0.7
    """tce: exponent q."""
    tce_k: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """tce: truncation threshold k of p_y."""
    tce_prune_from: Epoch | None = None
    """tce: first epoch before which samples are marked to be kept or not; null: the switch, or never without one."""
    la_tau: Annotated[float, Field(ge=0, le=1e30)] = 1.0
    """logit_adjustment: factor tau of the log class shares that are added to the logits in training."""
    vs_gamma: Annotated[float, Field(ge=0, le=1e30)] = 0.3
    """vs: exponent of n_c / n_max, the factor of a class's logit in training."""
    vs_tau: Annotated[float, Field(ge=0, le=1e30)] = 1.0
    """vs: factor tau of the log class shares that are added to the logits in training."""
    term_tilt: Annotated[float, Field(ge=-LARGEST_TILT, le=LARGEST_TILT)] = 1.0
    """term: t, non-zero: positive weighs hard samples more, negative less."""
    class_tau: Annotated[float, Field(ge=0)] = 0.0
    """Training logits are divided by their norm to this power before the loss; 0 leaves them as they are."""
    posthoc_tau: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Post-hoc logit adjustment after the last epoch: this times the log share of each class among the training images
    is subtracted from the logits that are evaluated; 0: none."""
    options: Annotated[LossOptions, Field(validate_default=True)] = NO_OPTIONS
    """Settings that a loss of your own declares: docs/own-parts.md."""

    @property
    def is_attentive(self) -> bool:
        """Whether attention weights are put over the base criterion."""
        return is_attentive(self.name)

    @property
    def base(self) -> str:
        """Name of the base criterion.

        >>> LossConfig(name="abce").base
        'ce'
        """
        return base_criterion(self.name)

    @property
    def spec(self) -> LossSpec:
        """Entry of the base criterion in the table of losses."""
        return LOSSES[self.base]


class AttentionConfig(Section):
    lam: float
    """lambda, non-zero: positive weighs hard samples more, negative less; large is plain SGD."""
    gamma: Fraction
    """Weight of the newest batch in the moving average."""
    ab_alpha: Fraction
    """abAlpha: weights sum to about 1 / ab_alpha in the steady state."""
    switch_epoch: Epoch
    """First epoch of stage two, counted from 0."""
    add_uniform: bool = False
    """Add 1 / B to every weight, as the authors' code for noisy labels does."""


class ClassBalanceConfig(Section):
    type: Literal["none", "reweight", "resample"] = "none"
    """`reweight`: the base criterion is weighted by effective number; `resample`: samples are drawn by it."""
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """beta of the effective number (1 - beta^n) / (1 - beta)."""
    from_epoch: EpochOrSwitch = 0
    """First epoch at which it acts; `switch`: with stage two."""


class OptimizerConfig(Section):
    lr: Rate = 0.1
    """Base learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: Penalty = 2e-4
    """L2 penalty."""
    fc1_weight_decay: Penalty | None = None
    """L2 penalty of the first fully connected layer of `cnn8`; null: `weight_decay`."""
    grad_clip: Rate | None = None
    """Largest norm of the whole gradient; null: not clipped."""
    sam_rho: Penalty = 0.0
    """rho of SAM: a step takes the gradient at this distance uphill of the weights, in two passes; 0: plain SGD."""


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
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of torch; null: torch's own choice. On CPU the same number gives the same bits."""
    fast: bool = False
    """Turn on what is fast and safe on the device at hand (docs/speed.md); its numbers are close to the exact ones."""
    precision: Literal["float32", "bfloat16"] | None = None
    """Precision of convolutions and matrix products; weights stay float32. null: float32, or what `fast` chooses."""
    memory_format: Literal["contiguous", "channels_last"] | None = None
    """Layout of images and convolutions in memory; null: contiguous, or what `fast` chooses."""
    cuda_graph: bool | None = None
    """Capture a whole training step as one CUDA graph; null: no, or what `fast` chooses."""
    ranks: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that train on each batch together, one on each GPU: docs/several-gpus.md."""

    @property
    def has_options(self) -> bool:
        """Whether more is set than the device and the number of threads and processes."""
        return self != DeviceConfig(type=self.type, threads=self.threads, ranks=self.ranks)


class RunSections(Section):
    """The settings of a run, section by section, before the rules between them are checked."""

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
    plugins: Annotated[tuple[PluginIdentity, ...], Field(strict=False)] = ()
    """Plugins that declare parts of this run, as `NAME sha256:HASH`; filled in, and checked where it is given."""

    @property
    def can_be_captured(self) -> bool:
        """Whether a step can be captured in a CUDA graph: not with dropout, whose draws a graph repeats, or SAM."""
        return not self.model.dropout and not self.optimizer.sam_rho

    @property
    def head(self) -> Head:
        """Classifier of the model, with `auto` resolved to the one that the loss needs."""
        return self.loss.spec.head if self.model.head == "auto" else self.model.head
