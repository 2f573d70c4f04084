"""Names of metrics, columns and files, and how records reach the disk; imports no torch.

A run folder is plain parquet, YAML and JSON: `pandas.read_parquet` on its tables needs nothing of ours.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.paths import is_endless

Status = Literal["running", "completed", "pruned", "diverged", "failed", "interrupted"]
Phase = Literal["search", "confirm", "control", "single"]

# Files of a run folder.
TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
CONFIG_FILE = "config.yaml"
SPACE_FILE = "space.yaml"
ENVIRONMENT_FILE = "environment.json"
LABELS_FILE = "train_labels.parquet"
REPORT_FILE = "report.html"
SCENARIOS_FOLDER = "scenarios"
LAST_CHECKPOINT = "last.pt"
PREVIOUS_CHECKPOINT = "previous.pt"
BEST_CHECKPOINT = "best.pt"

# Validation metrics a choice can be made by, with the direction that is better.
METRICS: dict[str, Literal["max", "min"]] = {
    "val_accuracy": "max",
    "val_balanced_accuracy": "max",
    "val_many_accuracy": "max",
    "val_medium_accuracy": "max",
    "val_few_accuracy": "max",
    "val_loss": "min",
}
DEFAULT_METRIC = "val_balanced_accuracy"


def test_metric_of(metric: str) -> str:
    """The test column that stands beside a validation metric; groups of classes are not told apart on the test set.

    >>> test_metric_of("val_accuracy"), test_metric_of("val_few_accuracy")
    ('test_accuracy', 'test_balanced_accuracy')
    """
    return metric.replace("val_", "test_") if metric in ("val_accuracy", "val_loss") else "test_balanced_accuracy"


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave. Accuracies are fractions; a value that does not exist is None, never NaN."""

    epoch: int
    """Counted from 0."""
    stage: int
    """1 before the switch, 2 from it on."""
    lr: float
    train_loss: float
    """Mean base loss over the epoch's training samples, class weights inside, attention weights not."""
    val_loss: float
    """Mean plain cross entropy on validation, the same for every training loss."""
    val_accuracy: float
    val_balanced_accuracy: float
    """Mean of the recalls of the classes present in validation."""
    val_many_accuracy: float | None
    """Mean recall of classes with more than 100 training images."""
    val_medium_accuracy: float | None
    """Mean recall of classes with 20 to 100 training images."""
    val_few_accuracy: float | None
    """Mean recall of classes with fewer than 20 training images."""
    val_recall: tuple[float | None, ...]
    """Recall of each class."""
    log_u: float | None
    """log of the moving average u after the epoch; None before stage two."""
    mean_weight: tuple[float | None, ...]
    """Mean of B * p_i over the epoch's samples of each class: 1 in stage one; samples that tce leaves out are 0."""
    mean_weight_clean: float | None
    """Mean of B * p_i over the epoch's samples whose labels noise left as they were; None where there are none.

    Samples that tce leaves out count as 0, so that its mean tells how much they still take part.
    """
    mean_weight_changed: float | None
    """Mean of B * p_i over the epoch's samples whose labels noise changed; None where there are none.

    Samples that tce leaves out count as 0: it is 0 once all of them are left out.
    """
    kept_fraction: float | None
    """tce: fraction of the training samples kept in the epoch; None for other losses."""
    train_s: float
    """Seconds of training, evaluation not counted."""
    val_s: float
    """Seconds of the validation pass."""
    images_per_s: float
    """Training images per second of training."""


@dataclasses.dataclass(frozen=True)
class TestMetrics:
    """Metrics on the test set, read once by an explicit call."""

    test_loss: float
    test_accuracy: float
    test_balanced_accuracy: float
    test_recall: tuple[float | None, ...]


TEST_CHOSEN = "test_chosen_"
"""Beginning of the columns that are `test_*` after the chosen epoch instead of the last."""

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


def label_table(
    index_N: npt.NDArray[np.int64], labels_N: npt.NDArray[np.int64], changed_N: npt.NDArray[np.bool_]
) -> pa.Table:
    """Which images a run trains on, with which labels, and which of these noise has changed.

    Args:
        index_N, labels_N, changed_N: arrays of equal length, as in `datasets.Splits`.
    """
    return pa.table([pa.array(index_N), pa.array(labels_N), pa.array(changed_N)], schema=LABEL_SCHEMA)


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


def chosen_epoch(records: Iterable[Mapping[str, Any]], metric: str) -> Mapping[str, Any] | None:
    """The first epoch row with the best value of `metric`; None when no row has one."""
    rows = [row for row in records if row[metric] is not None]
    if not rows:
        return None
    return (
        max(rows, key=lambda row: row[metric]) if METRICS[metric] == "max" else min(rows, key=lambda row: row[metric])
    )


def summary_columns(records: list[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """The columns of a trial row that come from its epoch rows, which stand in order."""
    best = chosen_epoch(records, metric)
    inherited = sum(bool(row["inherited"]) for row in records)
    return {
        "metric": metric,
        "metric_last": records[-1][metric] if records else None,
        "metric_chosen": best[metric] if best else None,
        "chosen_epoch": best["epoch"] if best else None,
        "epochs_trained": len(records) - inherited,
        "epochs_inherited": inherited,
    }


def as_table(schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a typed table; a missing key is null, a key that is no column of `schema` is an error."""
    rows = [dict(row) for row in rows]
    unknown = {key for row in rows for key in row} - set(schema.names)
    assert not unknown, f"no such columns: {sorted(unknown)}"
    return pa.Table.from_pylist(rows, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Replace the parquet file at `path` atomically."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_atomically(path, buffer.getvalue())


def read_rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """The rows of a parquet file of ours, the columns of `schema` alone; none when it does not exist.

    Raises:
        UserError: if the file is damaged, or lacks columns of `schema`, or has them with other types.
    """
    if not path.exists():
        return []
    if is_endless(path):
        raise UserError(f"cannot read {path}: it is a device or a pipe")
    other = "another version wrote it, or another program"
    try:
        table = pq.read_table(path)
        missing = [name for name in schema.names if name not in table.column_names]
        if missing:
            raise UserError(f"cannot read {path}: no column `{missing[0]}`; {other}")
        return list(table.select(schema.names).cast(schema).to_pylist())
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot read {path}: {reason}; it is damaged, or {other}") from None


def write_atomically(
    path: Path, content: bytes | memoryview | str | pa.Buffer, survives_power_cut: bool = True
) -> None:
    """Replace the file at `path` so that a reader, or a crash of the process, sees the old content or the new, whole.

    Args:
        path: of the file; its folder exists.
        content: what it is to hold; text in UTF-8.
        survives_power_cut: whether the same holds for a crash of the machine; it costs a wait for the disk.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if survives_power_cut:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
