"""The results of an epoch and of a test, and the metrics by which a run can be chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

Direction = Literal["max", "min"]
ShotGroup = Literal["many", "medium", "few"]
"""A group of classes by their number of training images."""
SHOT_METRICS: dict[str, ShotGroup] = {f"val_{group}_accuracy": group for group in get_args(ShotGroup)}
"""Metric over a group of classes -> the group."""
MANY_ABOVE, FEW_BELOW = 100, 20
"""Training images above which a class belongs to the group `many`, and below which to `few`."""
DEFAULT_METRIC = "val_balanced_accuracy"
INHERITED = "inherited"
"""Column of an epoch: whether a run other than the recording one trained it."""


def test_metric_of(metric: str) -> str:
    """Return the test column for a validation metric; the test columns have no groups of classes.

    >>> test_metric_of("val_accuracy"), test_metric_of("val_few_accuracy")
    ('test_accuracy', 'test_balanced_accuracy')
    """
    test = metric.replace("val_", "test_")
    return test if test in TEST_SCALARS else "test_balanced_accuracy"


def is_fraction(metric: str) -> bool:
    """Whether a metric is a fraction, shown in percent.

    >>> is_fraction("val_calibration_error"), is_fraction("test_loss")
    (True, False)
    """
    return not metric.endswith("loss")


def over_classes(recall: Sequence[float | None] | None) -> str:
    """Return how many classes an accuracy is over, as words to follow it; empty if it is over all of them.

    >>> over_classes([0.9, None]), over_classes([0.9, 0.8])
    (' over 1 of 2 classes', '')
    """
    if not recall or None not in recall:
        return ""
    present = sum(value is not None for value in recall)
    return f" over {present} of {len(recall)} classes"


def shot_group(num_train: float) -> ShotGroup:
    """Return the group of a class with `num_train` training images: more than 100, 20 to 100, or fewer than 20.

    >>> [shot_group(count) for count in (101, 100, 20, 19)]
    ['many', 'medium', 'medium', 'few']

    Source: the many / medium / few groups of arXiv 1904.05160; another convention puts 100 into many and 20 into few.
    """
    return "many" if num_train > MANY_ABOVE else "few" if num_train < FEW_BELOW else "medium"


class MetricColumn(NamedTuple):
    """Annotation of a column by which a run can be chosen."""

    better: Direction
    """The direction that is better."""
    title: str
    """Name of the metric in reports, without the split it was measured on."""


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """The results of one epoch: each field is a column of epochs.parquet, declared here only.

    Accuracies are fractions; a value that does not exist is None, never NaN.
    """

    epoch: int
    """Counted from 0."""
    stage: int
    """1 before the switch, 2 from it on."""
    lr: float
    train_loss: float
    """Mean base loss over the epoch's training samples, class weights inside, attention weights not."""
    val_loss: Annotated[float, MetricColumn("min", "loss")]
    """Mean plain cross entropy on validation, the same for every training loss."""
    val_accuracy: Annotated[float, MetricColumn("max", "accuracy")]
    val_balanced_accuracy: Annotated[float, MetricColumn("max", "balanced accuracy")]
    """Mean of the recalls of the classes present in validation."""
    val_many_accuracy: Annotated[float | None, MetricColumn("max", "accuracy of classes with many images")]
    """Mean recall of the classes in the group `many` of `shot_group`."""
    val_medium_accuracy: Annotated[
        float | None, MetricColumn("max", "accuracy of classes with a medium number of images")
    ]
    """Mean recall of the classes in the group `medium`."""
    val_few_accuracy: Annotated[float | None, MetricColumn("max", "accuracy of classes with few images")]
    """Mean recall of the classes in the group `few`."""
    val_macro_f1: Annotated[float, MetricColumn("max", "macro-F1")]
    """Mean of the F1 of the classes present in validation."""
    val_worst_recall: Annotated[float, MetricColumn("max", "recall of the worst class")]
    """Smallest recall of the classes present in validation."""
    val_calibration_error: Annotated[float, MetricColumn("min", "calibration error")]
    """Expected calibration error: `absgd.records.calibration_error`."""
    val_recall: tuple[float | None, ...]
    """Recall of each class."""
    log_u: float | None
    """log of the moving average u after the epoch; None before stage two."""
    mean_weight: tuple[float | None, ...]
    """Mean of B * p_i over the epoch's samples of each class, 1 in stage one; samples left out by tce count as 0."""
    mean_weight_clean: float | None
    """Mean of B * p_i over the epoch's samples whose labels noise left as they were; None where there are none.

    Samples that tce leaves out count as 0, so that the mean shows how much they still take part.
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
    test_macro_f1: float
    test_worst_recall: float
    test_calibration_error: float


def _metric_columns() -> dict[str, MetricColumn]:
    """Return the metrics that EpochRecord declares, those that are maximised first."""
    hints = get_type_hints(EpochRecord, include_extras=True)
    found = {
        name: part for name, hint in hints.items() for part in get_args(hint)[1:] if isinstance(part, MetricColumn)
    }
    return dict(sorted(found.items(), key=lambda item: item[1].better == "min"))


METRICS: dict[str, Direction] = {name: column.better for name, column in _metric_columns().items()}
"""Validation metrics by which a run can be chosen -> the direction that is better; accuracies first."""
METRIC_TITLES: dict[str, str] = {name: column.title for name, column in _metric_columns().items()}
"""Title of each metric, without the split it was measured on."""
TEST_SCALARS = tuple(field.name for field in dataclasses.fields(TestMetrics) if field.name != "test_recall")
"""Columns of the test set with one number."""
TEST_CHOSEN = "test_chosen_"
"""Prefix of the test columns measured after the chosen epoch instead of the last."""
_LATER = ("macro_f1", "worst_recall", "calibration_error")
LATER_METRICS = tuple(prefix + name for prefix in ("val_", "test_", TEST_CHOSEN) for name in _LATER)
"""Columns that tables of earlier versions lack: they are null there."""


def column_words(column: str) -> str:
    """Return the name of a metric's column in words, with the split that it was measured on.

    >>> column_words("val_balanced_accuracy"), column_words("test_loss")
    ('validation balanced accuracy', 'test loss')
    """
    split, _, name = column.partition("_")
    return f"{'validation' if split == 'val' else split} {METRIC_TITLES.get(f'val_{name}', name.replace('_', ' '))}"


def chosen_epoch(records: Iterable[Mapping[str, Any]], metric: str) -> Mapping[str, Any] | None:
    """Return the first epoch row with the best value of `metric`; None when no row has a value."""
    rows = [row for row in records if row[metric] is not None]
    if not rows:
        return None
    return (
        max(rows, key=lambda row: row[metric]) if METRICS[metric] == "max" else min(rows, key=lambda row: row[metric])
    )


def summary_columns(records: list[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Return the columns of a trial row that summarise its epoch rows, which are in order."""
    best = chosen_epoch(records, metric)
    inherited = sum(bool(row[INHERITED]) for row in records)
    return {
        "metric": metric,
        "metric_last": records[-1][metric] if records else None,
        "metric_chosen": best[metric] if best else None,
        "chosen_epoch": best["epoch"] if best else None,
        "epochs_trained": len(records) - inherited,
        "epochs_inherited": inherited,
    }
