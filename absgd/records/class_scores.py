"""Scores of a classifier from counts: training, search and analysis compute them here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

CALIBRATION_BINS = 15
"""Bins of equal width over the confidences, each without its lower end: (0, 1/15], ..., (14/15, 1]."""


class CalibrationSums(NamedTuple):
    """Sums over the images of each of the `CALIBRATION_BINS` bins; an image's confidence is its largest softmax."""

    images: Sequence[float]
    correct: Sequence[float]
    """Correctly classified images."""
    confidence: Sequence[float]
    """Sum of the confidences."""


def macro_f1(correct: Sequence[int], total: Sequence[int], predicted: Sequence[int]) -> float:
    """Return the mean over the classes that have images of F1 = 2 correct / (total + predicted).

    >>> macro_f1(correct=[3, 0, 0], total=[3, 1, 0], predicted=[3, 0, 1])
    0.5

    Args:
        correct: correctly classified images of each class.
        total: images of each class.
        predicted: images that the classifier takes for each class.
    """
    counts = zip(correct, total, predicted, strict=True)
    scores = [2 * hit / (images + guessed) for hit, images, guessed in counts if images]
    return sum(scores) / len(scores)


def worst_recall(recall: Sequence[float | None]) -> float:
    """Return the smallest recall of the classes that have images.

    >>> worst_recall([0.9, None, 0.2])
    0.2
    """
    return min(value for value in recall if value is not None)


def calibration_error(sums: CalibrationSums) -> float:
    """Return the expected calibration error, the mean over images of |accuracy - mean confidence| of their bin.

    NaN where no image is in a bin, since the logits are not finite.

    >>> calibration_error(CalibrationSums(images=[0, 4], correct=[0, 3], confidence=[0.0, 3.5]))
    0.125

    Source: arXiv 1706.04599, equation 3.
    """
    gaps = (abs(hit - confidence) for hit, confidence in zip(sums.correct, sums.confidence, strict=True))
    num_images = sum(sums.images)
    return sum(gaps) / num_images if num_images else math.nan
