"""Label noise as pure functions of labels.

Shape legend: N images, M of one class whose labels are drawn anew, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from absgd.datasets.images import Labels, Mask

NewLabels = Callable[[int, int, int, np.random.Generator], Labels]
"""New labels_M of images of one clean class, from that class, M, C and a generator."""


class NoisyLabels(NamedTuple):
    """Labels after noise, and where they differ from the clean ones."""

    labels_N: Labels
    """int64."""
    changed_N: Mask
    """bool."""


def _uniform_other_class(label: int, num_images: int, num_classes: int, generator: np.random.Generator) -> Labels:
    others_M = generator.integers(num_classes - 1, size=num_images)
    return others_M + (others_M >= label)


NOISES: Mapping[str, NewLabels] = {"symmetric": _uniform_other_class}
"""Noise type -> how labels of one class are drawn anew."""


def add_noise(
    labels_N: Labels, type: str, rate: float, num_classes: int, generator: np.random.Generator
) -> NoisyLabels:
    """Labels of which an exact fraction of every class, round(rate * n_c) images, is drawn anew.

    Both the images and their class are read from the clean labels. `symmetric` draws uniformly among the *other*
    classes, so every drawn label changes.

    >>> clean_N = np.repeat(np.arange(4), 5)
    >>> noisy_N, changed_N = add_noise(clean_N, "symmetric", 0.4, 4, np.random.default_rng(0))
    >>> [int(changed_N[clean_N == label].sum()) for label in range(4)]
    [2, 2, 2, 2]

    Args:
        labels_N: clean int64 labels in [0, C); not written to.
        type: a key of `NOISES`.
        rate: fraction in [0, 1).
        num_classes: C, at least 2.
        generator: decides which images change and into what.

    Source: arXiv 1804.06872, symmetry flipping. Other work includes the true class: its rate r is r * (C - 1) / C here.
    """
    new_labels = NOISES[type]
    noisy_N = labels_N.copy()
    for label in range(num_classes):
        members = np.flatnonzero(labels_N == label)
        chosen_M = generator.permutation(members)[: round(rate * len(members))]
        noisy_N[chosen_M] = new_labels(label, len(chosen_M), num_classes, generator)
    return NoisyLabels(noisy_N, noisy_N != labels_N)
