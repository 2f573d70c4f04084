"""Training and validation images of a run: validation is cut first, then the cap and imbalance, then noise apply.

Shape legend: N images of the split the field belongs to, M of its own validation part.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from absgd.config import RunConfig
from absgd.config.sections import DataConfig, ImbalanceConfig, NoiseConfig
from absgd.datasets.class_names import class_names, numbered
from absgd.datasets.image_files import ImageFiles, Paths
from absgd.datasets.images import Images, Indices, Labels, Mask
from absgd.datasets.imbalance import class_counts, subsample
from absgd.datasets.noise import NoisyLabels, add_noise
from absgd.datasets.registered_dataset import read_part
from absgd.errors import UserError
from absgd.randomness import numpy_generator
from absgd.registry.dataset_table import DATASETS, DatasetSpec


@dataclass(frozen=True, eq=False)
class Splits:
    """Training and validation images of a run. The test set is not among them: `load_test` reads it."""

    train: Images | ImageFiles
    """Training images after cap, imbalance and noise."""
    val: Images | ImageFiles
    """Validation images: equally many of each clean class, cut from training, or the data set's own list."""
    class_counts: tuple[int, ...]
    """Training images of each class, after noise."""
    num_classes: int
    train_index_N: Indices
    """Position of each training image in the training part of the data set, int64."""
    changed_N: Mask
    """Whether noise changed each training label, bool."""
    val_changed_M: Mask
    """Whether noise changed each validation label, bool."""
    hash: str
    """sha256 of the data set's name and the indices and labels of training and validation, for images on disk also of
    their relative paths; 64 hex digits."""

    @property
    def val_counts(self) -> tuple[int, ...]:
        """Validation images of each class."""
        return tuple(np.bincount(self.val.labels_N, minlength=self.num_classes).tolist())


class SplitIndices(NamedTuple):
    """Positions in the training part of a data set, int64, rising; the two share none.

    With `data.validation: own`, `val` holds positions in the data set's own validation part.
    """

    train: Indices
    val: Indices


def load_splits(config: RunConfig) -> Splits:
    """Read the training part of the data set, and its own validation part if asked for, and make the splits.

    All draws come from `config.seeds.data`: the same config gives the same splits in any process.
    The validation images do not depend on imbalance or noise, nor their noise on imbalance. Labels of a data set's
    own validation part get no noise: its authors took care that they are right.

    Raises:
        UserError: if the data cannot be read, the data set has no validation part where its own is asked for,
            `val_per_class` leaves a class without training images, or imbalance leaves a class empty.
    """
    own = _own_validation(config.data) if config.data.validation == "own" else None
    pool = read_part(config.data, "train")
    num_classes = _num_classes(pool, DATASETS[config.data.name])
    if own is None:
        index = split_indices(pool.labels_N, config, num_classes)
    else:
        index = own_indices(pool.labels_N, len(own), config, num_classes)
    val_pool = pool if own is None else own
    train_noise, val_noise = numpy_generator(config.seeds.data, "noise").spawn(2)
    train = _noisy(pool.labels_N[index.train], config.noise, num_classes, train_noise)
    val_labels_M = val_pool.labels_N[index.val]
    val = NoisyLabels(val_labels_M, np.zeros(len(val_labels_M), dtype=np.bool_))
    if own is None and config.noise.validation == "noisy":
        val = _noisy(val_labels_M, config.noise, num_classes, val_noise)
    _warn_of_absent_classes("validation", val.labels_N, config.data, num_classes)
    train_images, val_images = pool.take(index.train, train.labels_N), val_pool.take(index.val, val.labels_N)
    paths = [images.paths_N for images in (train_images, val_images) if isinstance(images, ImageFiles)]
    return Splits(
        train=train_images,
        val=val_images,
        class_counts=tuple(np.bincount(train.labels_N, minlength=num_classes).tolist()),
        num_classes=num_classes,
        train_index_N=index.train,
        changed_N=train.changed_N,
        val_changed_M=val.changed_N,
        hash=split_hash(config.data.name, index, train.labels_N, val.labels_N, paths),
    )


def load_test(config: RunConfig) -> Images | ImageFiles:
    """Read the test set, with clean labels; no other function reads it. A class without an image gives a warning.

    Raises:
        UserError: if the data cannot be read, or there is no test image.
    """
    images = read_part(config.data, "test")
    if not len(images):
        raise UserError(f"expected test images of data `{config.data.name}`, got none (data.root)")
    _warn_of_absent_classes("test", images.labels_N, config.data, _num_classes(images, DATASETS[config.data.name]))
    return images


def split_indices(labels_N: Labels, config: RunConfig, num_classes: int) -> SplitIndices:
    """Choose the training and validation images of a training part from which validation is cut.

    Args:
        labels_N: clean int64 labels in [0, num_classes).
        config: `data.val_per_class`, `data.n_max`, `imbalance` and `seeds.data` decide.
        num_classes: C.

    Raises:
        UserError: if `val_per_class` leaves a class without training images, or imbalance leaves a class empty.
    """
    _check_val_per_class(labels_N, config.data, num_classes)
    val_counts = [config.data.val_per_class] * num_classes
    val = subsample(labels_N, val_counts, numpy_generator(config.seeds.data, "split"))
    rest = np.setdiff1d(np.arange(len(labels_N)), val)
    return SplitIndices(rest[_kept(labels_N[rest], config, num_classes)], val)


def own_indices(labels_N: Labels, num_val: int, config: RunConfig, num_classes: int) -> SplitIndices:
    """Choose the training images of a data set with its own validation part, which is kept whole.

    Args:
        labels_N: clean int64 labels of the training part in [0, num_classes).
        num_val: M, images of the validation part.
        config: `data.n_max`, `imbalance` and `seeds.data` decide.
        num_classes: C.

    Raises:
        UserError: if a class has no training image or imbalance leaves it empty.
    """
    available_C = np.bincount(labels_N, minlength=num_classes)
    if not available_C.all():
        raise UserError(
            f"expected at least 1 training image of every class, got 0 of class "
            f"{_named(config.data, int(available_C.argmin()), num_classes)} (data.root)"
        )
    return SplitIndices(_kept(labels_N, config, num_classes), np.arange(num_val))


def split_hash(
    dataset: str, index: SplitIndices, train_labels_N: Labels, val_labels_N: Labels, paths: Sequence[Paths] = ()
) -> str:
    """sha256 of a data set's name and the indices, labels and relative paths used, the same on every machine."""
    digest = hashlib.sha256(dataset.encode())
    for values_N in (index.train, train_labels_N, index.val, val_labels_N):
        digest.update(f"/{len(values_N)}/".encode())
        digest.update(np.ascontiguousarray(values_N, dtype="<i8").tobytes())
    for paths_N in paths:
        digest.update(f"/{len(paths_N)}/".encode())
        digest.update(b"\n".join(paths_N.tolist()))
    return digest.hexdigest()


def _num_classes(pool: Images | ImageFiles, spec: DatasetSpec) -> int:
    """Number of classes of a data set: for images on disk the number in its files, else the published one."""
    if isinstance(pool, ImageFiles):
        return pool.num_classes
    assert spec.num_classes is not None, "a data set held in memory has a published number of classes"
    return spec.num_classes


def _own_validation(data: DataConfig) -> Images | ImageFiles:
    if not DATASETS[data.name].has_own_validation:
        raise UserError(
            f"expected `cut`: the published validation images of data `{data.name}` are its test set (data.validation)"
        )
    return read_part(data, "val")


def _kept(labels_N: Labels, config: RunConfig, num_classes: int) -> Indices:
    """Positions of the images that remain after the cap and imbalance."""
    counts = _training_counts(labels_N, config.imbalance, config.data.n_max, num_classes)
    return subsample(labels_N, counts, numpy_generator(config.seeds.data, "imbalance"))


def _check_val_per_class(labels_N: Labels, data: DataConfig, num_classes: int) -> None:
    available_C = np.bincount(labels_N, minlength=num_classes)
    smallest = int(available_C.argmin())
    if available_C[smallest] < 2:
        raise UserError(
            f"expected at least 2 training images of every class, to train and to validate, "
            f"got {available_C[smallest]} of class {_named(data, smallest, num_classes)} (data.root)"
        )
    if data.val_per_class >= available_C[smallest]:
        of_class = f"training images of class {_named(data, smallest, num_classes)}"
        raise UserError(
            f"expected `val_per_class` < {available_C[smallest]} ({of_class}), "
            f"got {data.val_per_class} (data.val_per_class)"
        )


def _named(data: DataConfig, label: int, num_classes: int) -> str:
    return numbered(class_names(data, num_classes), [label])


def _training_counts(
    labels_N: Labels, imbalance: ImbalanceConfig, n_max: int | None, num_classes: int
) -> tuple[int, ...]:
    """Number of images that each class keeps: `none` caps each class, the others start from the smallest class."""
    available = np.bincount(labels_N, minlength=num_classes).tolist()
    capped = tuple(count if n_max is None else min(count, n_max) for count in available)
    if imbalance.type == "none":
        return capped
    return class_counts(imbalance.type, imbalance.ratio, min(capped), num_classes)


def _noisy(labels_N: Labels, noise: NoiseConfig, num_classes: int, generator: np.random.Generator) -> NoisyLabels:
    if noise.type == "none":
        return NoisyLabels(labels_N, np.zeros(len(labels_N), dtype=np.bool_))
    return add_noise(labels_N, noise.type, noise.rate, num_classes, generator)


def _warn_of_absent_classes(part: str, labels_N: Labels, data: DataConfig, num_classes: int) -> None:
    absent = np.setdiff1d(np.arange(num_classes), labels_N).tolist()
    if absent:
        classes = numbered(class_names(data, num_classes), absent)
        message = (
            f"no {part} image of class {classes}: recall is unknown there, and accuracies are means over "
            f"{num_classes - len(absent)} of {num_classes} classes"
        )
        warnings.warn(message, stacklevel=3)
