"""The one table of data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from absgd.config import AugmentationConfig, DatasetName
from absgd.datasets.in_memory import Reader, read_cifar10, read_cifar100, read_digits, read_fashion_mnist
from absgd.errors import UserError


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a data set before its files are read."""

    num_classes: int
    channels: int
    side: int
    """Rows and columns in pixels."""
    mean: tuple[float, ...]
    """Of each channel over the training images, values in [0, 1]."""
    std: tuple[float, ...]
    """Of each channel over the training images, values in [0, 1]."""
    pad: int
    """Standard augmentation: zero padding in pixels before a random crop to the original size."""
    flip: bool
    """Standard augmentation: random horizontal flip."""
    read: Reader


DATASETS: Mapping[DatasetName, DatasetSpec] = {
    "digits": DatasetSpec(
        num_classes=10,
        channels=1,
        side=8,
        mean=(0.3052,),
        std=(0.3760,),
        pad=1,
        flip=False,
        read=read_digits,
    ),
    "fashion_mnist": DatasetSpec(
        num_classes=10,
        channels=1,
        side=28,
        mean=(0.2860,),
        std=(0.3530,),
        pad=2,
        flip=True,
        read=read_fashion_mnist,
    ),
    "cifar10": DatasetSpec(
        num_classes=10,
        channels=3,
        side=32,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        pad=4,
        flip=True,
        read=read_cifar10,
    ),
    "cifar100": DatasetSpec(
        num_classes=100,
        channels=3,
        side=32,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        pad=4,
        flip=True,
        read=read_cifar100,
    ),
}
"""Data sets by name. CIFAR's means and deviations are those of the long-tail and noisy-label recipes."""


def augmentation_of(config: AugmentationConfig, spec: DatasetSpec) -> tuple[int, bool]:
    """Padding in pixels and whether to flip: what `config` gives, else the data set's standard.

    Raises:
        UserError: if the padding exceeds the side, so that a crop could hold nothing of the image.
    """
    pad = spec.pad if config.pad is None else config.pad
    if pad >= spec.side:
        raise UserError(f"expected `pad` < {spec.side} (side of the images), got {pad} (augmentation.pad)")
    return pad, spec.flip if config.flip is None else config.flip
