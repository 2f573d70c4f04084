"""The table of data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from absgd.registry import published_classes

Crop = Literal["padded", "resized", "random_resized"]
"""`padded`: zero padding, then a crop of the original size; `resized`: the shorter side to 256 / 224 of the side, then
a crop; `random_resized`: a crop of random area and shape, resized. The last two are for images on disk."""


@dataclass(frozen=True)
class DatasetSpec:
    """A data set before its files are read: its reader, sizes and standard augmentation."""

    reader: str
    """`module:function` that reads one part from a DataConfig and its name: `train`, from which validation is cut,
    `test`, or `val` where the data set has its own."""
    num_classes: int | None
    """Number of classes as published; a data set on disk has those of its training part; None for `imagefolder`."""
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
    crop: Crop = "padded"
    """Standard augmentation: how training images are cropped at random."""
    in_memory: bool = False
    """Whether all its images are held in memory; else each is read from disk when a batch needs it."""
    has_own_validation: bool = False
    """Whether its reader knows the part `val`, published apart from the test set."""
    own_noise: tuple[str, ...] = ()
    """Kinds of label noise that need the classes of this data set."""
    class_names: tuple[str, ...] = ()
    """Published names of the classes, by label; empty where numbers are all there is."""
    names_reader: str | None = None
    """`module:function` that reads the names of the classes, by label, from a DataConfig; None: `class_names`."""
    has_files: bool = True
    """Whether it is read from files of the user, in `data.root` or by default in the folder `data`."""
    found_at: tuple[str, ...] = ()
    """Folders in which it is searched before the folder `data`."""
    titled_by_folder: bool = False
    """Whether its images are the user's own, so that `data.title` defaults to the name of their folder."""
    options: type[Any] | None = None
    """Pydantic model of `data.options`; None: it has none."""
    plugin: str | None = None
    """Name of the plugin that declares it; None: built in."""


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


DATASETS: dict[str, DatasetSpec] = {
    "digits": DatasetSpec(
        reader="absgd.datasets.in_memory:read_digits",
        num_classes=10,
        channels=1,
        side=8,
        mean=(0.3052,),
        std=(0.3760,),
        pad=1,
        flip=False,
        in_memory=True,
        class_names=published_classes.DIGITS,
        has_files=False,
    ),
    "fashion_mnist": DatasetSpec(
        reader="absgd.datasets.in_memory:read_fashion_mnist",
        num_classes=10,
        channels=1,
        side=28,
        mean=(0.2860,),
        std=(0.3530,),
        pad=2,
        flip=True,
        in_memory=True,
        class_names=published_classes.FASHION_MNIST,
        found_at=("/usr/share/datasets/fashion-mnist",),  # of Debian's package dataset-fashion-mnist
    ),
    "cifar10": DatasetSpec(
        reader="absgd.datasets.in_memory:read_cifar10",
        num_classes=10,
        channels=3,
        side=32,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        pad=4,
        flip=True,
        in_memory=True,
        own_noise=("cifar10_pairs",),
        class_names=published_classes.CIFAR10,
    ),
    "cifar100": DatasetSpec(
        reader="absgd.datasets.in_memory:read_cifar100",
        num_classes=100,
        channels=3,
        side=32,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        pad=4,
        flip=True,
        in_memory=True,
        own_noise=("cifar100_blocks", "cifar100_superclasses"),
        class_names=published_classes.CIFAR100,
    ),
    "tiny_imagenet": DatasetSpec(
        reader="absgd.datasets.in_folders:read_tiny_imagenet",
        num_classes=200,
        channels=3,
        side=64,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=8,
        flip=True,
        names_reader="absgd.datasets.in_folders:tiny_imagenet_classes",
    ),
    "imagenet_lt": DatasetSpec(
        reader="absgd.datasets.on_disk:read_imagenet_lt",
        num_classes=1000,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        crop="random_resized",
        has_own_validation=True,
    ),
    "places_lt": DatasetSpec(
        reader="absgd.datasets.on_disk:read_places_lt",
        num_classes=365,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        crop="random_resized",
        has_own_validation=True,
    ),
    "inaturalist18": DatasetSpec(
        reader="absgd.datasets.on_disk:read_inaturalist18",
        num_classes=8142,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        crop="random_resized",
    ),
    "clothing1m": DatasetSpec(
        reader="absgd.datasets.on_disk:read_clothing1m",
        num_classes=14,
        channels=3,
        side=224,
        mean=(0.6959, 0.6537, 0.6371),
        std=(0.3113, 0.3192, 0.3214),
        pad=0,
        flip=True,
        crop="resized",
        has_own_validation=True,
        class_names=published_classes.CLOTHING1M,
    ),
    "imagefolder": DatasetSpec(
        reader="absgd.datasets.in_folders:read_imagefolder",
        num_classes=None,
        channels=3,
        side=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pad=0,
        flip=True,
        crop="random_resized",
        has_own_validation=True,
        names_reader="absgd.datasets.in_folders:imagefolder_classes",
        titled_by_folder=True,
    ),
}
"""Data sets by name. CIFAR's means and deviations are those of the long-tail and noisy-label recipes."""
