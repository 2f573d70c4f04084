"""Label noise as pure functions of labels: the one table of its kinds, and their application.

Shape legend: N images, M of one class whose labels are drawn anew, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from absgd.datasets.images import Labels, Mask
from absgd.errors import UserError

NewLabels = Callable[[int, int, int, np.random.Generator], Labels]
"""Draws the new labels_M of images of one clean class, from that class, M, C and a generator."""

CIFAR10_PAIRS: Mapping[int, int] = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
"""CIFAR-10's classes that look alike: truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse."""

CIFAR100_SUPERCLASSES: Mapping[str, tuple[int, ...]] = {
    "aquatic mammals": (4, 30, 55, 72, 95),
    "fish": (1, 32, 67, 73, 91),
    "flowers": (54, 62, 70, 82, 92),
    "food containers": (9, 10, 16, 28, 61),
    "fruit and vegetables": (0, 51, 53, 57, 83),
    "household electrical devices": (22, 39, 40, 86, 87),
    "household furniture": (5, 20, 25, 84, 94),
    "insects": (6, 7, 14, 18, 24),
    "large carnivores": (3, 42, 43, 88, 97),
    "large man-made outdoor things": (12, 17, 37, 68, 76),
    "large natural outdoor scenes": (23, 33, 49, 60, 71),
    "large omnivores and herbivores": (15, 19, 21, 31, 38),
    "medium-sized mammals": (34, 63, 64, 66, 75),
    "non-insect invertebrates": (26, 45, 77, 79, 99),
    "people": (2, 11, 35, 46, 98),
    "reptiles": (27, 29, 44, 78, 93),
    "small mammals": (36, 50, 65, 74, 80),
    "trees": (47, 52, 56, 59, 96),
    "vehicles 1": (8, 13, 48, 58, 90),
    "vehicles 2": (41, 69, 81, 85, 89),
}
"""CIFAR-100's fine labels of each superclass, in index order. Source: https://www.cs.toronto.edu/~kriz/cifar.html."""

CIFAR100_BLOCK = 5


class NoisyLabels(NamedTuple):
    """Labels after noise, and where they differ from the clean labels."""

    labels_N: Labels
    """Labels after noise, int64."""
    changed_N: Mask
    """Whether each differs from the clean label, bool."""


@dataclass(frozen=True)
class Noise:
    """One kind of label noise."""

    new_labels: NewLabels
    num_classes: int | None = None
    """Number of classes of the only data set it is meant for; None: any number of at least 2."""


def add_noise(
    labels_N: Labels, type: str, rate: float, num_classes: int, generator: np.random.Generator
) -> NoisyLabels:
    """Redraw the labels of an exact fraction of every class, round(rate * n_c) images.

    Both the images and their class are read from the clean labels. With a class's flip target t(c):

    - `symmetric`: uniform over the *other* classes, so every drawn label changes;
    - `symmetric_all`: uniform over all classes, so about rate * (C - 1) / C of the labels change;
    - `pair_flip`: t(c) = c + 1 mod C;
    - `cifar10_pairs`: t(c) = `CIFAR10_PAIRS`[c]; classes without an entry stay clean;
    - `cifar100_blocks`: t(c) is the next label id, rotating inside blocks of five ids, which are not the superclasses;
    - `cifar100_superclasses`: t(c) is the next label of c's superclass, rotating inside `CIFAR100_SUPERCLASSES`.

    >>> clean_N = np.repeat(np.arange(4), 5)
    >>> noisy_N, changed_N = add_noise(clean_N, "symmetric", 0.4, 4, np.random.default_rng(0))
    >>> [int(changed_N[clean_N == label].sum()) for label in range(4)]
    [2, 2, 2, 2]

    Args:
        labels_N: clean int64 labels in [0, C); not written to.
        type: a key of `NOISES`.
        rate: fraction in [0, 1).
        num_classes: C, at least 2.
        generator: source of the draws: the images and, for the symmetric kinds, their new labels.

    Raises:
        UserError: if `rate` is out of its range or the noise needs another number of classes.

    Source: arXiv 1804.06872 (`symmetric`, `pair_flip`); arXiv 1611.03530 (`symmetric_all`); arXiv 1609.03683
        (`cifar10_pairs`, `cifar100_superclasses`).
    """
    noise = NOISES[type]
    _check(noise, type, rate, num_classes)
    noisy_N = labels_N.copy()
    for label in range(num_classes):
        members = np.flatnonzero(labels_N == label)
        drawn_M = generator.permutation(members)[: round(rate * len(members))]
        noisy_N[drawn_M] = noise.new_labels(label, len(drawn_M), num_classes, generator)
    return NoisyLabels(noisy_N, noisy_N != labels_N)


def _check(noise: Noise, type: str, rate: float, num_classes: int) -> None:
    if not 0 <= rate < 1:
        raise UserError(f"expected `rate` in [0, 1), got {rate} (noise.rate)")
    if noise.num_classes not in (None, num_classes):
        raise UserError(f"expected {noise.num_classes} classes for noise `{type}`, got {num_classes} (noise.type)")
    if num_classes < 2:
        raise UserError(f"expected at least 2 classes for noise `{type}`, got {num_classes} (noise.type)")


def _uniform_other_class(label: int, num_images: int, num_classes: int, generator: np.random.Generator) -> Labels:
    others_M = generator.integers(num_classes - 1, size=num_images)
    return others_M + (others_M >= label)


def _uniform_class(_label: int, num_images: int, num_classes: int, generator: np.random.Generator) -> Labels:
    return generator.integers(num_classes, size=num_images)


def _next_class(label: int, num_images: int, num_classes: int, _generator: np.random.Generator) -> Labels:
    return np.full(num_images, (label + 1) % num_classes)


def _flip_by(target: Mapping[int, int]) -> NewLabels:
    """Flip every image to its class's target; classes without a target stay."""

    def flipped(label: int, num_images: int, _num_classes: int, _generator: np.random.Generator) -> Labels:
        return np.full(num_images, target.get(label, label))

    return flipped


def _rotation(labels: tuple[int, ...]) -> dict[int, int]:
    """Map each label to the next one, and the last to the first."""
    return dict(zip(labels, labels[1:] + labels[:1], strict=True))


def _rotations(groups: list[tuple[int, ...]]) -> dict[int, int]:
    return {label: target for group in groups for label, target in _rotation(group).items()}


_BLOCKS = [tuple(range(first, first + CIFAR100_BLOCK)) for first in range(0, 100, CIFAR100_BLOCK)]

NOISES: Mapping[str, Noise] = {
    "symmetric": Noise(_uniform_other_class),
    "symmetric_all": Noise(_uniform_class),
    "pair_flip": Noise(_next_class),
    "cifar10_pairs": Noise(_flip_by(CIFAR10_PAIRS), num_classes=10),
    "cifar100_blocks": Noise(_flip_by(_rotations(_BLOCKS)), num_classes=100),
    "cifar100_superclasses": Noise(_flip_by(_rotations(list(CIFAR100_SUPERCLASSES.values()))), num_classes=100),
}
"""Kinds of noise by type; `add_noise` defines each."""
