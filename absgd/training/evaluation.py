"""Metrics of a model on labelled images, from counts per class."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from absgd.datasets import Batch
from absgd.losses import Prediction
from absgd.records import (
    CALIBRATION_BINS,
    SHOT_METRICS,
    CalibrationSums,
    ShotGroup,
    calibration_error,
    macro_f1,
    shot_group,
    worst_recall,
)


class ClassCounts(NamedTuple):
    """Counts of one pass over labelled images."""

    loss_sum: float
    """Sum of the cross entropies of all images."""
    correct: list[int]
    """Correctly classified images of each class."""
    total: list[int]
    """Images of each class."""
    predicted: list[int]
    """Images that the model takes for each class."""
    calibration: CalibrationSums
    """Sums over the images of each bin of confidence."""


class ClassMetrics(NamedTuple):
    """Metrics of one pass; accuracies are fractions."""

    loss: float
    accuracy: float
    balanced_accuracy: float
    recall: tuple[float | None, ...]
    macro_f1: float
    worst_recall: float
    calibration_error: float


LogitsOf = Callable[[Batch], Tensor]
"""logits_BC of a whole batch, float32."""


@torch.no_grad()
def predictions(model: nn.Module, batches: Iterable[Batch], logits_of: LogitsOf | None = None) -> Iterator[Prediction]:
    """One pass of `model` in evaluation mode, without gradients; afterwards the model is in its earlier mode.

    Args:
        model: gives logits (B, C) for images (B, channels, H, W).
        batches: unaugmented batches on the model's device.
        logits_of: calls the model in another precision or on a batch spread over processes; None: the model itself.
    """
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            logits_BC = model(batch.images_BCHW) if logits_of is None else logits_of(batch)
            yield Prediction(logits_BC, batch.labels_B, batch.index_B)
    finally:
        model.train(was_training)


def count_correct(
    model: nn.Module,
    batches: Iterable[Batch],
    num_classes: int,
    device: torch.device,
    logits_of: LogitsOf | None = None,
) -> ClassCounts:
    """One pass of `model` in evaluation mode; see `count_by_batch`."""
    counting = count_by_batch(model, batches, num_classes, device, logits_of)
    while True:
        try:
            next(counting)
        except StopIteration as counted:
            counts: ClassCounts = counted.value
            return counts


@torch.no_grad()
def count_by_batch(
    model: nn.Module,
    batches: Iterable[Batch],
    num_classes: int,
    device: torch.device,
    logits_of: LogitsOf | None = None,
) -> Generator[None, None, ClassCounts]:
    """One pass of `model` in evaluation mode that yields after each batch; afterwards the model is in its earlier mode.

    Args:
        model: gives logits (B, C) for images (B, channels, H, W).
        batches: unaugmented batches on `device`.
        num_classes: C.
        device: the model's.
        logits_of: as for `predictions`.
    """
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    classes_3C = torch.zeros(3, num_classes, dtype=torch.int64, device=device)  # correct, total, predicted
    bins_3K = torch.zeros(3, CALIBRATION_BINS, dtype=torch.float64, device=device)  # images, correct, confidence
    bin_K = torch.arange(1, CALIBRATION_BINS + 1, dtype=torch.float64, device=device)
    for logits_BC, labels_B, _ in predictions(model, batches, logits_of):
        log_p_BC = F.log_softmax(logits_BC, dim=1)
        loss_sum += F.nll_loss(log_p_BC, labels_B, reduction="none").double().sum()
        predicted_B = logits_BC.argmax(dim=1)
        hit_B = (predicted_B == labels_B).long()
        one_B = torch.ones_like(hit_B)
        for counts_C, class_B, count_B in zip(
            classes_3C, (labels_B, labels_B, predicted_B), (hit_B, one_B, one_B), strict=True
        ):
            counts_C.index_add_(0, class_B, count_B)
        confidence_B = log_p_BC.amax(dim=1).double().exp()
        in_bin_BK = ((confidence_B * CALIBRATION_BINS).ceil().unsqueeze(1) == bin_K).double()
        bins_3K += torch.stack((one_B.double(), hit_B.double(), confidence_B)) @ in_bin_BK  # no atomic sums of floats
        yield
    correct, total, predicted = classes_3C.tolist()
    return ClassCounts(loss_sum.item(), correct, total, predicted, CalibrationSums(*bins_3K.tolist()))


def class_metrics(counts: ClassCounts) -> ClassMetrics:
    """Metrics over all images and over the classes present: balanced accuracy is the mean of their recalls.

    >>> sure = CalibrationSums(images=[4.0], correct=[3.0], confidence=[4.0])
    >>> class_metrics(ClassCounts(loss_sum=2.0, correct=[3, 0], total=[3, 1], predicted=[4, 0], calibration=sure))[:4]
    (0.5, 0.75, 0.5, (1.0, 0.0))
    """
    images = sum(counts.total)
    recall = tuple(hit / total if total else None for hit, total in zip(counts.correct, counts.total, strict=True))
    present = [value for value in recall if value is not None]
    return ClassMetrics(
        loss=counts.loss_sum / images,
        accuracy=sum(counts.correct) / images,
        balanced_accuracy=sum(present) / len(present),
        recall=recall,
        macro_f1=macro_f1(counts.correct, counts.total, counts.predicted),
        worst_recall=worst_recall(recall),
        calibration_error=calibration_error(counts.calibration),
    )


class ShotAccuracy(NamedTuple):
    """Mean recall of the classes in each group of training-set size; None where a group is empty."""

    many: float | None
    medium: float | None
    few: float | None


def absent_metrics(train_counts: Sequence[int], val_counts: Sequence[int]) -> list[str]:
    """Names of the validation metrics over those groups of `shot_accuracy` that have no validation image.

    >>> absent_metrics([300, 120, 25], [10, 10, 10]), absent_metrics([300, 25], [10, 0])
    (['val_few_accuracy'], ['val_medium_accuracy', 'val_few_accuracy'])

    Args:
        train_counts: training images of each class.
        val_counts: validation images of each class.
    """
    shots = shot_accuracy([0.0 if count else None for count in val_counts], train_counts)
    return [metric for metric, group in SHOT_METRICS.items() if getattr(shots, group) is None]


def shot_accuracy(recall: Sequence[float | None], train_counts: Sequence[int]) -> ShotAccuracy:
    """Mean recall of the classes in each group of `absgd.records.shot_group`."""

    def mean_recall(group: ShotGroup) -> float | None:
        members = [
            value
            for value, count in zip(recall, train_counts, strict=True)
            if value is not None and shot_group(count) == group
        ]
        return sum(members) / len(members) if members else None

    return ShotAccuracy(many=mean_recall("many"), medium=mean_recall("medium"), few=mean_recall("few"))
