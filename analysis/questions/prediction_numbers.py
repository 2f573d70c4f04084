"""Numbers of predictions on a split, in numpy alone.

Shape legend: N images, C classes, K bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from absgd.records import (
    CALIBRATION_BINS,
    CalibrationSums,
    ShotGroup,
    calibration_error,
    macro_f1,
    shot_group,
    worst_recall,
)
from analysis.questions.image_outcomes import Counts, Floats, ImageOutcomes


class PredictionNumbers(NamedTuple):
    """Numbers of a run's predictions; NaN where a group of classes has no image."""

    accuracy: float
    balanced_accuracy: float
    """Mean recall of the classes present."""
    macro_f1: float
    """Mean over the classes present of 2 TP / (2 TP + FP + FN)."""
    worst_recall: float
    """Smallest recall of a class present."""
    loss: float
    """Negative log-likelihood: mean of -log p of the label, natural logarithm."""
    calibration_error: float
    """Expected calibration error, see `absgd.records.calibration_error`."""
    many_accuracy: float
    """Mean recall of the classes in the group `many` of `absgd.records.shot_group`."""
    medium_accuracy: float
    """Mean recall of the classes in the group `medium`."""
    few_accuracy: float
    """Mean recall of the classes in the group `few`."""


def confusion_counts(outcomes: ImageOutcomes) -> Counts:
    """Return how many images of each class (row) are taken for each class (column), shape (C, C)."""
    num_classes = outcomes.num_classes
    cells = np.bincount(outcomes.labels_N * num_classes + outcomes.predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def calibration_sums(outcomes: ImageOutcomes) -> CalibrationSums:
    """Return the images in bins of equal width by confidence, each sum a list of K numbers."""
    bin_N = np.clip(np.ceil(outcomes.confidence_N * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    images_K, confidence_K, correct_K = (
        np.bincount(bin_N, weights=weights_N, minlength=CALIBRATION_BINS)
        for weights_N in (None, outcomes.confidence_N, outcomes.is_correct())
    )
    return CalibrationSums(images_K.tolist(), correct_K.tolist(), confidence_K.tolist())


def recalls(confusion_CC: Counts) -> Floats:
    """Return the recall of each class, shape (C,); NaN for a class without images."""
    total_C = confusion_CC.sum(axis=1)
    found: Floats = np.divide(np.diag(confusion_CC), total_C, out=np.full(len(total_C), np.nan), where=total_C > 0)
    return found


def prediction_numbers(outcomes: ImageOutcomes, class_counts: Sequence[int]) -> PredictionNumbers:
    """Return the numbers of predictions on at least one image.

    Args:
        outcomes: of the images.
        class_counts: training images of each class; empty where they are unknown: no group of classes has a number.
    """
    confusion_CC = confusion_counts(outcomes)
    recall_C = recalls(confusion_CC)
    return PredictionNumbers(
        accuracy=float(outcomes.is_correct().mean()),
        balanced_accuracy=float(np.nanmean(recall_C)),
        macro_f1=macro_f1(*(counts_C.tolist() for counts_C in _counts_by_class(confusion_CC))),
        worst_recall=worst_recall([value for value in recall_C.tolist() if value == value]),
        loss=float(outcomes.loss_N.mean()),
        calibration_error=calibration_error(calibration_sums(outcomes)),
        many_accuracy=_group_recall(recall_C, class_counts, "many"),
        medium_accuracy=_group_recall(recall_C, class_counts, "medium"),
        few_accuracy=_group_recall(recall_C, class_counts, "few"),
    )


def _counts_by_class(confusion_CC: Counts) -> tuple[Counts, Counts, Counts]:
    """Return the correct images, all images, and the predictions of each class."""
    return np.diag(confusion_CC), confusion_CC.sum(axis=1), confusion_CC.sum(axis=0)


def _group_recall(recall_C: Floats, class_counts: Sequence[int], group: ShotGroup) -> float:
    own = [
        recall
        for recall, count in zip(recall_C, class_counts, strict=False)
        if recall == recall and shot_group(count) == group
    ]
    return float(np.mean(own)) if own else float("nan")
