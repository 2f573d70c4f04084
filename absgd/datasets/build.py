"""The one table of data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from absgd.config.sections import AugmentationConfig, DataConfig, DatasetName
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images
from absgd.datasets.in_memory import DatasetPart, read_cifar10, read_cifar100, read_digits, read_fashion_mnist
from absgd.datasets.on_disk import (
    read_clothing1m,
    read_imagefolder,
    read_imagenet_lt,
    read_inaturalist18,
    read_places_lt,
    read_tiny_imagenet,
)
from absgd.errors import UserError

Crop = Literal["padded", "resized", "random_resized"]
"""`padded`: zero padding, then a crop of the original size; `resized`: the shorter side to 256 / 224 of the side, then
a crop; `random_resized`: a crop of random area and shape, resized. The last two are for images on disk."""


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a data set before its files are read."""

    num_classes: int | None
    """As published; a data set on disk has those of its training part, none known before for `imagefolder`."""
    channels: int
    side: int
    """Rows and columns in pixels; images on disk are brought to it."""
    mean: tuple[float, ...]
    """Of each channel over the training images, values in [0, 1]."""
    std: tuple[float, ...]
    """Of each channel over the training images, values in [0, 1]."""
    pad: int
    """Standard augmentation: zero padding in pixels before a random crop to the original size."""
    flip: bool
    """Standard augmentation: random horizontal flip."""
    read: Callable[[DataConfig, DatasetPart], Images | ImageFiles]
    """Reads one part: `train`, all that validation is cut from, or `test`."""
    read_validation: Callable[[DataConfig], ImageFiles] | None = None
    """Reads the data set's own validation part; None: it has none."""
    crop: Crop = "padded"
    """Standard augmentation: how training images are cropped at random."""


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
    "tiny_imagenet": DatasetSpec(
        num_classes=200,
        channels=3,
        side=64,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=8,
        flip=True,
        read=read_tiny_imagenet,
    ),
    "imagenet_lt": DatasetSpec(
        num_classes=1000,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        read=read_imagenet_lt,
        read_validation=partial(read_imagenet_lt, part="val"),
        crop="random_resized",
    ),
    "places_lt": DatasetSpec(
        num_classes=365,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        read=read_places_lt,
        read_validation=partial(read_places_lt, part="val"),
        crop="random_resized",
    ),
    "inaturalist18": DatasetSpec(
        num_classes=8142,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        read=read_inaturalist18,
        crop="random_resized",
    ),
    "clothing1m": DatasetSpec(
        num_classes=14,
        channels=3,
        side=224,
        mean=(0.6959, 0.6537, 0.6371),
        std=(0.3113, 0.3192, 0.3214),
        pad=0,
        flip=True,
        read=read_clothing1m,
        read_validation=partial(read_clothing1m, part="val"),
        crop="resized",
    ),
    "imagefolder": DatasetSpec(
        num_classes=None,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        read=read_imagefolder,
        read_validation=partial(read_imagefolder, part="val"),
        crop="random_resized",
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


def normalisation_of(config: DataConfig, spec: DatasetSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel: what `config` gives, else the data set's own.

    Raises:
        UserError: if `config` gives another number of values than there are channels.
    """
    if config.mean is None or config.std is None:
        return spec.mean, spec.std
    for name, values in (("mean", config.mean), ("std", config.std)):
        if len(values) != spec.channels:
            raise UserError(
                f"expected `{name}` of {spec.channels} values (one for each channel of {config.name}), "
                f"got {len(values)} (data.{name})"
            )
    return config.mean, config.std
