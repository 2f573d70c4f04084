"""Outcomes of a run on the images of a split: what was predicted, how sure, and at which loss.

Shape legend: N images, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_CELLS_AT_ONCE = 2**22


class ImageOutcomes(NamedTuple):
    """Outcomes on each image of a split."""

    labels_N: Counts
    predicted_N: Counts
    """The most probable class; the first of several."""
    confidence_N: Floats
    """Its probability."""
    loss_N: Floats
    """-log p of the label, natural logarithm."""
    num_classes: int

    def is_correct(self) -> npt.NDArray[np.bool_]:
        """Return whether the label of each image is predicted, shape (N,)."""
        found: npt.NDArray[np.bool_] = self.predicted_N == self.labels_N
        return found


def log_probabilities(logits_NC: npt.NDArray[np.floating]) -> Floats:
    """Return the log-softmax of logits, shape (N, C)."""
    exact_NC = logits_NC.astype(np.float64)
    exact_NC -= exact_NC.max(axis=1, keepdims=True)
    exact_NC -= np.log(np.exp(exact_NC).sum(axis=1, keepdims=True))
    return exact_NC


def image_outcomes(logits_NC: npt.NDArray[np.floating], labels_N: Counts) -> ImageOutcomes:
    """Return the outcomes of finite logits, for labels in [0, C)."""
    num_images, num_classes = logits_NC.shape
    predicted_N, confidence_N, loss_N = np.empty(num_images, np.int64), np.empty(num_images), np.empty(num_images)
    step = max(1, _CELLS_AT_ONCE // num_classes)
    for start in range(0, num_images, step):
        own = slice(start, start + step)
        log_p_BC = log_probabilities(logits_NC[own])
        predicted_N[own] = log_p_BC.argmax(axis=1)
        confidence_N[own] = np.exp(log_p_BC.max(axis=1))
        loss_N[own] = -np.take_along_axis(log_p_BC, labels_N[own, None], axis=1)[:, 0]
    return ImageOutcomes(labels_N, predicted_N, confidence_N, loss_N, num_classes)
