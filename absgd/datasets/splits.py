"""What a run trains and validates on: validation cut first, then the cap and imbalance, then noise.

Shape legend: N images of the split the field belongs to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from absgd.config import ImbalanceConfig, NoiseConfig, RunConfig
from absgd.datasets.build import DATASETS
from absgd.datasets.images import Images, Indices, Labels, Mask
from absgd.datasets.imbalance import class_counts, subsample
from absgd.datasets.noise import NoisyLabels, add_noise
from absgd.errors import UserError
from absgd.randomness import numpy_generator


@dataclass(frozen=True, eq=False)
class Splits:
    """Training and validation images of a run. The test set is not here: `load_test` reads it."""

    train: Images
    """After cap, imbalance and noise."""
    val: Images
    """The same number of images of each class, by their clean labels."""
    class_counts: tuple[int, ...]
    """Training images of each class, after noise."""
    num_classes: int
    changed_N: Mask
    """Training labels that noise changed, bool."""
    hash: str
    """sha256 over the data set's name and the indices and labels of training and validation, 64 hex digits."""


class SplitIndices(NamedTuple):
    """Positions in the training part of a data set, int64, rising; the two share none."""

    train: Indices
    val: Indices


def load_splits(config: RunConfig) -> Splits:
    """Reads the training part of the data set and makes the splits of `config` from it.

    Everything drawn comes from `config.seeds.data`: the same config gives the same splits in any process.
    The validation images do not depend on imbalance or noise, nor their noise on imbalance.

    Raises:
        UserError: if the data cannot be read, `val_per_class` leaves a class without training images, or
            imbalance leaves a class empty.
    """
    spec = DATASETS[config.data.name]
    pool = spec.read(config.data, "train")
    index = split_indices(pool.labels_N, config, spec.num_classes)
    train_noise, val_noise = numpy_generator(config.seeds.data, "noise").spawn(2)
    train = _noisy(pool.labels_N[index.train], config.noise, spec.num_classes, train_noise)
    val_labels_N = pool.labels_N[index.val]
    if config.noise.validation == "noisy":
        val_labels_N = _noisy(val_labels_N, config.noise, spec.num_classes, val_noise).labels_N
    return Splits(
        train=pool.take(index.train, train.labels_N),
        val=pool.take(index.val, val_labels_N),
        class_counts=tuple(np.bincount(train.labels_N, minlength=spec.num_classes).tolist()),
        num_classes=spec.num_classes,
        changed_N=train.changed_N,
        hash=split_hash(config.data.name, index, train.labels_N, val_labels_N),
    )


def load_test(config: RunConfig) -> Images:
    """Reads the test set, with clean labels; nothing else does.

    Raises:
        UserError: if the data cannot be read.
    """
    return DATASETS[config.data.name].read(config.data, "test")


def split_indices(labels_N: Labels, config: RunConfig, num_classes: int) -> SplitIndices:
    """Which images of a training part train and which validate.

    Args:
        labels_N: clean int64 labels in [0, num_classes).
        config: `data.val_per_class`, `data.n_max`, `imbalance` and `seeds.data` decide.
        num_classes: C.

    Raises:
        UserError: if `val_per_class` leaves a class without training images, or imbalance leaves a class empty.
    """
    seed = config.seeds.data
    _check_val_per_class(labels_N, config.data.val_per_class, num_classes)
    val = subsample(labels_N, [config.data.val_per_class] * num_classes, numpy_generator(seed, "split"))
    rest = np.setdiff1d(np.arange(len(labels_N)), val)
    counts = _training_counts(labels_N[rest], config.imbalance, config.data.n_max, num_classes)
    train = rest[subsample(labels_N[rest], counts, numpy_generator(seed, "imbalance"))]
    return SplitIndices(train, val)


def split_hash(dataset: str, index: SplitIndices, train_labels_N: Labels, val_labels_N: Labels) -> str:
    """sha256 over a data set's name and the indices and labels used, the same on every machine."""
    digest = hashlib.sha256(dataset.encode())
    for values_N in (index.train, train_labels_N, index.val, val_labels_N):
        digest.update(f"/{len(values_N)}/".encode())
        digest.update(np.ascontiguousarray(values_N, dtype="<i8").tobytes())
    return digest.hexdigest()


def _check_val_per_class(labels_N: Labels, val_per_class: int, num_classes: int) -> None:
    available_C = np.bincount(labels_N, minlength=num_classes)
    smallest = int(available_C.argmin())
    if available_C[smallest] < 2:
        raise UserError(
            f"expected at least 2 training images of every class, to train and to validate, "
            f"got {available_C[smallest]} of class {smallest} (data.root)"
        )
    if val_per_class >= available_C[smallest]:
        raise UserError(
            f"expected `val_per_class` < {available_C[smallest]} (training images of class {smallest}), "
            f"got {val_per_class} (data.val_per_class)"
        )


def _training_counts(
    labels_N: Labels, imbalance: ImbalanceConfig, n_max: int | None, num_classes: int
) -> tuple[int, ...]:
    """Images each class keeps: `none` caps the classes as they are, the others start from the smallest class."""
    available = np.bincount(labels_N, minlength=num_classes).tolist()
    capped = tuple(count if n_max is None else min(count, n_max) for count in available)
    if imbalance.type == "none":
        return capped
    return class_counts(imbalance.type, imbalance.ratio, min(capped), num_classes)


def _noisy(labels_N: Labels, noise: NoiseConfig, num_classes: int, generator: np.random.Generator) -> NoisyLabels:
    if noise.type == "none":
        return NoisyLabels(labels_N, np.zeros(len(labels_N), dtype=np.bool_))
    return add_noise(labels_N, noise.type, noise.rate, num_classes, generator)
