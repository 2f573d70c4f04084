"""The columns of the tables of a run, each declared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa

from absgd.config import RunConfig
from absgd.records.metrics import METRICS

Status = Literal["running", "completed", "pruned", "diverged", "failed", "interrupted"]
Phase = Literal["search", "confirm", "control", "single"]

# Column of a trial row -> (setting of RunConfig, type). One column for each setting: a test counts them.
CONFIG_COLUMNS: dict[str, tuple[str, pa.DataType]] = {
    "dataset": ("data.name", pa.string()),
    "data_root": ("data.root", pa.string()),
    "data_download": ("data.download", pa.bool_()),
    "val_per_class": ("data.val_per_class", pa.int64()),
    "n_max": ("data.n_max", pa.int64()),
    "validation": ("data.validation", pa.string()),
    "data_mean": ("data.mean", pa.list_(pa.float64())),
    "data_std": ("data.std", pa.list_(pa.float64())),
    "data_side": ("data.side", pa.int64()),
    "data_workers": ("data.workers", pa.int64()),
    "on_bad_image": ("data.on_bad_image", pa.string()),
    "imbalance_type": ("imbalance.type", pa.string()),
    "imbalance_ratio": ("imbalance.ratio", pa.float64()),
    "noise_type": ("noise.type", pa.string()),
    "noise_rate": ("noise.rate", pa.float64()),
    "noise_validation": ("noise.validation", pa.string()),
    "augmentation_pad": ("augmentation.pad", pa.int64()),
    "augmentation_flip": ("augmentation.flip", pa.bool_()),
    "augmentation_rotation_deg": ("augmentation.rotation_deg", pa.float64()),
    "model": ("model.name", pa.string()),
    "dropout": ("model.dropout", pa.float64()),
    "head": ("model.head", pa.string()),
    "weights": ("model.weights", pa.string()),
    "loss": ("loss.name", pa.string()),
    "focal_gamma": ("loss.focal_gamma", pa.float64()),
    "ldam_max_margin": ("loss.ldam_max_margin", pa.float64()),
    "ldam_scale": ("loss.ldam_scale", pa.float64()),
    "sce_alpha": ("loss.sce_alpha", pa.float64()),
    "sce_beta": ("loss.sce_beta", pa.float64()),
    "tce_q": ("loss.tce_q", pa.float64()),
    "tce_k": ("loss.tce_k", pa.float64()),
    "tce_prune_from": ("loss.tce_prune_from", pa.int64()),
    "class_tau": ("loss.class_tau", pa.float64()),
    "lam": ("attention.lam", pa.float64()),
    "gamma": ("attention.gamma", pa.float64()),
    "ab_alpha": ("attention.ab_alpha", pa.float64()),
    "switch_epoch": ("attention.switch_epoch", pa.int64()),
    "add_uniform": ("attention.add_uniform", pa.bool_()),
    "class_balance": ("class_balance.type", pa.string()),
    "class_balance_beta": ("class_balance.beta", pa.float64()),
    "class_balance_from_epoch": ("class_balance.from_epoch", pa.string()),
    "lr": ("optimizer.lr", pa.float64()),
    "momentum": ("optimizer.momentum", pa.float64()),
    "weight_decay": ("optimizer.weight_decay", pa.float64()),
    "fc1_weight_decay": ("optimizer.fc1_weight_decay", pa.float64()),
    "grad_clip": ("optimizer.grad_clip", pa.float64()),
    "schedule": ("schedule.type", pa.string()),
    "warmup_epochs": ("schedule.warmup_epochs", pa.int64()),
    "milestones": ("schedule.milestones", pa.list_(pa.int64())),
    "lr_factor": ("schedule.factor", pa.float64()),
    "epochs": ("epochs", pa.int64()),
    "batch_size": ("batch_size", pa.int64()),
    "seed_data": ("seeds.data", pa.int64()),
    "seed_train": ("seeds.train", pa.int64()),
    "device": ("device.type", pa.string()),
    "threads": ("device.threads", pa.int64()),
    "fast": ("device.fast", pa.bool_()),
    "precision": ("device.precision", pa.string()),
    "memory_format": ("device.memory_format", pa.string()),
    "cuda_graph": ("device.cuda_graph", pa.bool_()),
    "ranks": ("device.ranks", pa.int64()),
}

COLUMN_OF = {key: column for column, (key, _) in CONFIG_COLUMNS.items()}
"""Setting of RunConfig -> its column."""

TRIAL_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("scenario", pa.string()),
        ("trial_id", pa.string()),
        ("number", pa.int64()),  # of the trial in its Optuna study; null for runs outside it
        ("phase", pa.string()),
        ("candidate", pa.string()),  # name of the confirmed configuration or control; null outside confirmation
        ("status", pa.string()),
        ("error", pa.string()),
        *((column, kind) for column, (_, kind) in CONFIG_COLUMNS.items()),
        ("metric", pa.string()),
        ("metric_last", pa.float64()),  # the metric at the last epoch trained
        ("metric_chosen", pa.float64()),  # the metric at the epoch best on validation
        ("chosen_epoch", pa.int64()),
        ("test_loss", pa.float64()),
        ("test_accuracy", pa.float64()),
        ("test_balanced_accuracy", pa.float64()),
        ("test_recall", pa.list_(pa.float64())),
        ("test_chosen_loss", pa.float64()),  # on the test set at the epoch chosen on validation: second column only
        ("test_chosen_accuracy", pa.float64()),
        ("test_chosen_balanced_accuracy", pa.float64()),
        ("epochs_trained", pa.int64()),
        ("epochs_inherited", pa.int64()),
        ("restarts", pa.int64()),  # times its process was lost and it went on in another one
        ("wall_s", pa.float64()),
        ("started_at", pa.timestamp("ms", tz="UTC")),
        ("class_counts", pa.list_(pa.int64())),  # training images of each class, after imbalance and noise
        ("split_hash", pa.string()),
        ("stage_one_key", pa.string()),
    ]
)

_PER_CLASS = pa.list_(pa.float64())
EPOCH_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("scenario", pa.string()),
        ("trial_id", pa.string()),
        ("epoch", pa.int64()),
        ("stage", pa.int64()),
        ("inherited", pa.bool_()),  # trained by the trunk, not by this trial
        ("lr", pa.float64()),
        ("train_loss", pa.float64()),
        *((metric, pa.float64()) for metric in sorted(METRICS)),
        ("val_recall", _PER_CLASS),
        ("log_u", pa.float64()),
        ("mean_weight", _PER_CLASS),
        ("mean_weight_clean", pa.float64()),
        ("mean_weight_changed", pa.float64()),
        ("kept_fraction", pa.float64()),
        ("train_s", pa.float64()),
        ("val_s", pa.float64()),
        ("images_per_s", pa.float64()),
    ]
)


LABEL_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # of the image in the training part of the data set
        ("label", pa.int64()),  # as trained on
        ("changed", pa.bool_()),  # by label noise
    ]
)


def config_columns(config: RunConfig) -> dict[str, Any]:
    """The columns of a trial row that come from its config."""
    data = config.to_dict()
    row: dict[str, Any] = {}
    for column, (key, kind) in CONFIG_COLUMNS.items():
        value: Any = data
        for part in key.split("."):
            value = None if value is None else value[part]
        row[column] = str(value) if kind == pa.string() and value is not None else value
    return row


def config_of(row: Mapping[str, Any]) -> RunConfig:
    """The whole config of a trial row: `config_columns` in reverse.

    Raises:
        UserError: if the row lacks settings, or has impossible ones.
    """
    data: dict[str, Any] = {}
    for column, (key, _) in CONFIG_COLUMNS.items():
        *parents, leaf = key.split(".")
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = row[column]
    if data["device"]["ranks"] is None:  # of a table from before there were several
        data["device"]["ranks"] = 1
    if data["attention"]["lam"] is None:
        data["attention"] = None
    if data["device"]["fast"] is None:  # a row of a version that had no such setting
        data["device"]["fast"] = False
    from_epoch = data["class_balance"]["from_epoch"]
    if str(from_epoch).isdecimal():
        data["class_balance"]["from_epoch"] = int(from_epoch)
    return RunConfig.from_dict(data, "trials.parquet")
