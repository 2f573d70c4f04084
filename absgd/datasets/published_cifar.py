"""Imbalanced CIFAR with the interface of the published package `absgd` 0.0.1, for users' own training loops.

Runs of this project read CIFAR through `load_splits`, which cuts validation first.

Shape legend: N images, M of them kept, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torchvision.datasets import CIFAR10, CIFAR100

from absgd.datasets.images import Indices, Labels
from absgd.errors import UserError


class IMBALANCECIFAR10(CIFAR10):  # type: ignore[misc]
    """CIFAR-10 in which each class keeps a share that falls with the class index; otherwise torchvision's data set.

    With n = N / C and rho = `imb_factor`, class c keeps int(n rho^(c / (C - 1))) images under `exp`; under `step` the
    first C // 2 classes keep n and the others int(n rho); under any other type all are kept, with a warning unless it
    is None. Images come class by class. The same `rand_number` keeps the same images as the published package; numpy's
    global generator is left alone.

    As in that package, `train=False` thins the test set too. A balanced test set is torchvision's own
    `CIFAR10(root, train=False)`.

    Args:
        root: torchvision's root folder of the data.
        imb_type: `exp` or `step`; None for neither.
        imb_factor: rho, smallest class over largest, in (0, 1].
        rand_number: seed of the choice of images.
        train: the training images, or the test images.
        transform, target_transform: as torchvision's.
        download: download missing files.

    Raises:
        UserError: if `imb_factor` is out of its range.

    Source: arXiv 1906.07413's published code; the package `absgd` 0.0.1.
    """

    cls_num = 10
    data: npt.NDArray[np.uint8]
    """Kept images, (M, 32, 32, 3)."""
    targets: list[int]
    """Their classes."""

    def __init__(
        self,
        root: str | Path,
        imb_type: str | None = "exp",
        imb_factor: float = 0.01,
        rand_number: int = 0,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = True,
    ) -> None:
        _check(imb_type, imb_factor)
        super().__init__(root, train, transform, target_transform, download)
        labels_N = np.asarray(self.targets, dtype=np.int64)
        self._counts = published_counts(len(labels_N), self.cls_num, imb_type, imb_factor)
        index_M = published_subsample(labels_N, self._counts, rand_number)
        self.data = self.data[index_M]
        self.targets = labels_N[index_M].tolist()

    def get_cls_num_list(self) -> list[int]:
        """Images of each class, in index order."""
        return list(self._counts)


class IMBALANCECIFAR100(IMBALANCECIFAR10, CIFAR100):  # type: ignore[misc]
    """CIFAR-100 with its fine labels, thinned as `IMBALANCECIFAR10` thins CIFAR-10; same arguments."""

    cls_num = 100


def published_counts(num_images: int, num_classes: int, imb_type: str | None, imb_factor: float) -> list[int]:
    """Number of images that each class keeps, floating-point products rounded down.

    `absgd.datasets.class_counts` differs by one where float rounding alone puts a product just below a whole number.

    >>> published_counts(50000, 10, "exp", 0.01)
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    n_max = num_images / num_classes
    if imb_type == "exp":
        return [int(n_max * imb_factor ** (c / (num_classes - 1.0))) for c in range(num_classes)]
    if imb_type == "step":
        half = num_classes // 2
        return [int(n_max)] * half + [int(n_max * imb_factor)] * half
    return [int(n_max)] * num_classes


def published_subsample(labels_N: Labels, counts: Sequence[int], rand_number: int) -> Indices:
    """Positions of the kept images, class by class, each class in shuffled order.

    One stream of numpy's legacy generator shuffles the positions of class after class; the first n_c of each stay.

    Args:
        labels_N: int64 labels of all C classes.
        counts: images n_c to keep of each class, C of them.
        rand_number: the seed.
    """
    generator = np.random.RandomState(rand_number)
    kept = []
    for label, count in zip(np.unique(labels_N), counts, strict=True):
        members = np.flatnonzero(labels_N == label)
        generator.shuffle(members)
        kept.append(members[:count])
    return np.concatenate(kept)


def _check(imb_type: str | None, imb_factor: float) -> None:
    if imb_type in ("exp", "step"):
        if not 0 < imb_factor <= 1:
            raise UserError(f"expected `imb_factor` in (0, 1], got {imb_factor} (imb_factor)")
    elif imb_type is not None:
        warnings.warn(f"imb_type {imb_type!r} is neither `exp` nor `step`: all images are kept", stacklevel=3)
