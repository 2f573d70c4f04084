"""Metrics of a model on labelled images, from counts per class."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from absgd.datasets import Batch
from absgd.losses import Prediction
from absgd.records import SHOT_METRICS, ShotGroup, shot_group


class ClassCounts(NamedTuple):
    """Counts of one pass over labelled images."""

    loss_sum: float
    """Sum of the cross entropies of all images."""
    correct: list[int]
    """Correctly classified images of each class."""
    total: list[int]
    """Images of each class."""


class ClassMetrics(NamedTuple):
    """Metrics of one pass; accuracies are fractions."""

    loss: float
    accuracy: float
    balanced_accuracy: float
    recall: tuple[float | None, ...]


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
    correct_C = torch.zeros(num_classes, dtype=torch.int64, device=device)
    total_C = torch.zeros(num_classes, dtype=torch.int64, device=device)
    for logits_BC, labels_B, _ in predictions(model, batches, logits_of):
        loss_sum += F.cross_entropy(logits_BC, labels_B, reduction="none").double().sum()
        hit_B = (logits_BC.argmax(dim=1) == labels_B).long()
        correct_C.index_add_(0, labels_B, hit_B)
        total_C.index_add_(0, labels_B, torch.ones_like(hit_B))
        yield
    return ClassCounts(loss_sum.item(), correct_C.tolist(), total_C.tolist())


def class_metrics(counts: ClassCounts) -> ClassMetrics:
    """Loss, accuracy, balanced accuracy (mean recall of the classes present) and recall of each class.

    >>> class_metrics(ClassCounts(loss_sum=2.0, correct=[3, 0], total=[3, 1]))
    ClassMetrics(loss=0.5, accuracy=0.75, balanced_accuracy=0.5, recall=(1.0, 0.0))
    """
    images = sum(counts.total)
    recall = tuple(hit / total if total else None for hit, total in zip(counts.correct, counts.total, strict=True))
    present = [value for value in recall if value is not None]
    return ClassMetrics(
        loss=counts.loss_sum / images,
        accuracy=sum(counts.correct) / images,
        balanced_accuracy=sum(present) / len(present),
        recall=recall,
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
