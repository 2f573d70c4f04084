"""Rules between the sections of a run, and settings that are given but do not act in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from absgd.config.sections import DeviceConfig, ModelConfig, OptimizerConfig, RunSections, ScheduleConfig, Section
from absgd.config.setting_types import SMALLEST_TILT
from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import LOSSES, base_criterion, loss_names
from absgd.registry.model_table import MODELS


def broken_run_rules(run: RunSections) -> Iterator[tuple[str, str]]:
    """Yield the dotted key and message of every rule between settings that a run breaks."""
    yield from _broken_attention_rules(run)
    yield from _broken_data_rules(run)
    yield from _broken_loss_rules(run)
    yield from _broken_model_rules(run)
    yield from _broken_balance_rules(run)
    yield from _broken_schedule_rules(run.schedule, run.epochs)
    yield from _broken_device_rules(run.device, run.model, run.optimizer)
    if run.device.ranks > run.batch_size:
        yield "device.ranks", f"expected `ranks` <= `batch_size` ({run.batch_size}), got {run.device.ranks}"


def _broken_attention_rules(run: RunSections) -> Iterator[tuple[str, str]]:
    attention, epochs = run.attention, run.epochs
    if attention is None:
        if run.loss.is_attentive:
            yield "attention", f"expected `attention` with loss `{run.loss.name}`, got nothing"
        return
    if attention.lam == 0:
        yield "attention.lam", "expected `lam` != 0, got 0"
    if attention.switch_epoch >= epochs:
        yield "attention.switch_epoch", f"expected `switch_epoch` < `epochs` ({epochs}), got {attention.switch_epoch}"


def _broken_data_rules(run: RunSections) -> Iterator[tuple[str, str]]:
    data, imbalance, noise = run.data, run.imbalance, run.noise
    if imbalance.type == "none" and imbalance.ratio != 1:
        yield "imbalance.ratio", f"expected `ratio` = 1 with imbalance type `none`, got {imbalance.ratio}"
    if noise.type == "none" and noise.rate != 0:
        yield "noise.rate", f"expected `rate` = 0 with noise type `none`, got {noise.rate}"
    owners = [name for name, spec in DATASETS.items() if noise.type in spec.own_noise]
    if owners and data.name not in owners:
        yield "noise.type", f"expected noise `{noise.type}` with data {_quoted(owners)} only, got `{data.name}`"
    if data.validation == "own" and not DATASETS[data.name].has_own_validation:
        yield "data.validation", f"expected `cut`: data `{data.name}` has no validation list of its own"
    if data.validation == "own" and noise.type != "none" and noise.validation == "noisy":
        yield "noise.validation", "expected `clean` with the data set's own validation: its labels get no noise"
    if (data.mean is None) != (data.std is None):
        yield "data.mean", "expected `mean` and `std` together, got one of them"


def _broken_loss_rules(run: RunSections) -> Iterator[tuple[str, str]]:
    loss = run.loss
    if run.head != loss.spec.head:
        yield "model.head", f"expected `head` `{loss.spec.head}` with loss `{loss.name}`, got `{run.head}`"
    if abs(loss.term_tilt) < SMALLEST_TILT:
        yield "loss.term_tilt", f"expected `term_tilt` of magnitude >= {SMALLEST_TILT}, got {loss.term_tilt}"
    if loss.tce_prune_from is not None and not loss.spec.prunes:
        pruning = [name for name in loss_names() if LOSSES[base_criterion(name)].prunes]
        message = f"expected `tce_prune_from` with loss {_quoted(pruning)} only, got `{loss.name}`"
        yield "loss.tce_prune_from", message
    if loss.tce_prune_from is not None and loss.tce_prune_from >= run.epochs:
        yield "loss.tce_prune_from", f"expected `tce_prune_from` < `epochs` ({run.epochs}), got {loss.tce_prune_from}"


def _broken_model_rules(run: RunSections) -> Iterator[tuple[str, str]]:
    model, spec = run.model, MODELS[run.model.name]
    if run.head not in spec.heads:
        reason = "" if model.head == run.head else f", which loss `{run.loss.name}` needs"
        yield "model.head", f"expected `head` {_quoted(spec.heads)} with model `{model.name}`, got `{run.head}`{reason}"
    if model.dropout and not spec.takes_dropout:
        yield "model.dropout", f"expected `dropout` = 0 with model `{model.name}`, which has none, got {model.dropout}"
    if model.weights is not None and not spec.has_published_weights:
        able = [name for name, one in MODELS.items() if one.has_published_weights]
        yield "model.weights", f"expected `weights` with model {_quoted(able)} only, got `{model.name}`"
    for key in dict.fromkeys(key for one in MODELS.values() for key in one.settings):
        section, _, leaf = key.rpartition(".")
        readers = [name for name, one in MODELS.items() if key in one.settings]
        if model.name not in readers and leaf in _changed(getattr(run, section)):
            yield key, f"expected `{leaf}` with model {_quoted(readers)} only, got `{model.name}`"


def _broken_balance_rules(run: RunSections) -> Iterator[tuple[str, str]]:
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


def _broken_device_rules(
    device: DeviceConfig, model: ModelConfig, optimizer: OptimizerConfig
) -> Iterator[tuple[str, str]]:
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
    if optimizer.sam_rho:
        message = f"expected `cuda_graph` with `optimizer.sam_rho` = 0, got {optimizer.sam_rho}"
        yield "device.cuda_graph", message


def unused_run_settings(run: RunSections) -> Iterator[str]:
    """Yield a sentence for each setting that differs from its default but does not act in the run."""
    yield from _unused_loss_settings(run)
    if DATASETS[run.data.name].in_memory:
        for name in ("side", "resize", "workers", "on_bad_image", "on_duplicate"):
            if name in _changed(run.data):
                yield f"data `{run.data.name}` is held in memory: `data.{name}` is not used"
    if run.noise.type == "none" and "validation" in _changed(run.noise):
        yield "there is no label noise: `noise.validation` is not used"
    if run.schedule.type != "step" and "factor" in _changed(run.schedule):
        yield f"schedule `{run.schedule.type}` has no steps: `schedule.factor` is not used"
    if run.loss.spec.prunes and not run.loss.is_attentive and run.loss.tce_prune_from is None:
        bounds = ": `loss.tce_k` only bounds the loss" if "tce_k" in run.loss.spec.settings else ""
        yield f"loss `{run.loss.name}` leaves no sample out without `loss.tce_prune_from`{bounds}"
    if run.class_balance.type == "none" and "beta" in _changed(run.class_balance):
        yield "there is no class balance: `class_balance.beta` is not used"
    if run.data.validation == "own" and "val_per_class" in _changed(run.data):
        yield "validation is the data set's own: `data.val_per_class` is not used"


def _unused_loss_settings(run: RunSections) -> Iterator[str]:
    loss = run.loss
    if run.attention is not None and not loss.is_attentive:
        yield f"loss `{loss.name}` has no attention weights: `attention` is not used"
    for name in _changed(loss):
        readers = [base for base, spec in LOSSES.items() if name in spec.settings]
        if readers and loss.base not in readers:
            yield f"loss `{loss.name}` is not {_quoted(readers)}: `loss.{name}` is not used"


def _changed(section: Section) -> list[str]:
    """Return the names of the fields that differ from their defaults."""
    fields = type(section).model_fields
    return [name for name, field in fields.items() if getattr(section, name) != field.default]


def _quoted(names: Iterable[str]) -> str:
    """Join names for a message: `` `a` `` or `` `a` or `b` ``."""
    return " or ".join(f"`{name}`" for name in names)
