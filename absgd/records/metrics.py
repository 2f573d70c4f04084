"""The metrics by which a run can be chosen, and what one epoch or a test gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

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
