"""Readers of the data sets that are published as lists of images: they return paths and labels.

The images stay on disk: `DiskBatches` reads them. `train` and `test` are read separately. The training part decides
the number of classes, so that labels mean the same in every part; the others are compared with it, since an image of
theirs that is trained on makes a run look better.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from absgd.config.sections import DataConfig
from absgd.datasets.data_files import data_root, needed_files, status_of, text_of, warn_of_download
from absgd.datasets.duplicates import (
    COMPARED_IN_LISTS,
    check_given_once,
    check_not_shared,
    listed_identities,
    shared_with,
)
from absgd.datasets.image_files import ImageFiles, as_image_files
from absgd.datasets.image_lists import (
    ImageList,
    ListedImage,
    parse_image_list,
    parse_key_values,
    parse_keys_with_labels,
)
from absgd.datasets.images import Part
from absgd.datasets.usable_images import usable_images
from absgd.errors import UserError


@dataclass(frozen=True)
class ListLayout:
    """File names and folders of a data set that is published as lists."""

    name: str
    num_classes: int
    """Published number of classes."""
    lists: Mapping[Part, Sequence[tuple[str, ...]]]
    """Alternatives for each part; the first found is read: a list of `path label`, or paths and their labels."""
    folders: Sequence[str]
    """Folders inside `data.root` that may hold the lists as well."""
    parse: Callable[[str], ImageList] = parse_image_list
    """Parser of a list with paths and labels."""


IMAGENET_LT = ListLayout(
    name="ImageNet-LT",
    num_classes=1000,
    lists={
        "train": [("ImageNet_LT_train.txt",)],
        "val": [("ImageNet_LT_val.txt",)],
        "test": [("ImageNet_LT_test.txt",)],
    },
    folders=("ImageNet_LT",),
)
"""Source: arXiv 1904.05160."""

PLACES_LT = ListLayout(
    name="Places-LT",
    num_classes=365,
    lists={
        "train": [("Places_LT_train.txt",)],
        "val": [("Places_LT_val.txt",)],
        "test": [("Places_LT_test.txt",)],
    },
    folders=("Places_LT", "Places_LT_v2"),
)
"""Source: arXiv 1904.05160."""

INATURALIST18 = ListLayout(
    name="iNaturalist 2018",
    num_classes=8142,
    lists={"train": [("iNaturalist18_train.txt",)], "test": [("iNaturalist18_val.txt",)]},
    folders=("iNaturalist18",),
)
"""The labels of its test images are not published: its validation list is the test set. Source: arXiv 1910.09217."""

CLOTHING1M = ListLayout(
    name="Clothing1M",
    num_classes=14,
    lists={
        "train": [("noisy_train_kv.txt",), ("noisy_train_key_list.txt", "noisy_label_kv.txt")],
        "val": [("clean_val_kv.txt",), ("clean_val_key_list.txt", "clean_label_kv.txt")],
        "test": [("clean_test_kv.txt",), ("clean_test_key_list.txt", "clean_label_kv.txt")],
    },
    folders=("annotations",),
    parse=parse_key_values,
)
"""Trained on the noisy list; validation and test labels are clean. Source: CVPR 2015, Xiao et al."""


def read_listed(layout: ListLayout, config: DataConfig, part: Part) -> ImageFiles:
    """Read a part of a data set that is published as lists.

    Lists are searched in `data.root` and in the layout's folders inside it. Paths in them are relative to
    `data.root`, or to the folder of the list if only that holds their first folder. The number of classes is the
    largest label of the training list + 1, so that a shortened data set works; fewer than published give a warning.

    Raises:
        UserError: if a list is absent, a label is not of the data set, or `data.on_bad_image: error` finds a line that
            is malformed or names no file; each with the file and, where there is one, the line. With
            `data.on_duplicate: refuse`, if an image is given twice, or is in the training list too.
    """
    warn_of_download(config, layout.name)
    train_list, train = _parsed(layout, config, "train")
    num_classes = _num_classes(layout, train_list, train)
    source, parsed = (train_list, train) if part == "train" else _parsed(layout, config, part)
    _check_labels(source, parsed.images, num_classes, f"the classes of {train_list}")
    root = _image_root(data_root(config), source, parsed)
    listed = as_image_files(root, source, parsed.images, num_classes)
    images = usable_images(listed, parsed.bad_lines, config.on_bad_image, config.workers)
    identities = listed_identities(root, [os.fsdecode(path) for path in images.paths_N])
    check_given_once(images, identities, config.on_duplicate, COMPARED_IN_LISTS)
    if part != "train":
        train_root = _image_root(data_root(config), train_list, train)
        trained = as_image_files(train_root, train_list, train.images, num_classes)
        trained_identities = listed_identities(train_root, [image.path for image in train.images])
        shared = shared_with(images, identities, trained, trained_identities, COMPARED_IN_LISTS)
        check_not_shared(images, sorted(shared), str(train_list), config.on_duplicate)
    return images


read_imagenet_lt = partial(read_listed, IMAGENET_LT)
read_places_lt = partial(read_listed, PLACES_LT)
read_inaturalist18 = partial(read_listed, INATURALIST18)
read_clothing1m = partial(read_listed, CLOTHING1M)


def _parsed(layout: ListLayout, config: DataConfig, part: Part) -> tuple[Path, ImageList]:
    """Path and content of the list of a part."""
    paths = needed_files(data_root(config), layout.folders, layout.lists[part], layout.name)
    texts = [text_of(path) for path in paths]
    return paths[0], layout.parse(*texts) if len(texts) == 1 else parse_keys_with_labels(*texts)


def _num_classes(layout: ListLayout, source: Path, parsed: ImageList) -> int:
    """Number of classes in a training list."""
    _check_labels(source, parsed.images, layout.num_classes, f"the classes of {layout.name}")
    num_classes = 1 + max((image.label for image in parsed.images), default=-1)
    if num_classes < 2:
        first = next((f"; line {line}: {reason}" for line, reason in parsed.bad_lines), "")
        raise UserError(f"expected images of at least 2 classes in {source}, got {num_classes}{first} (data.root)")
    if num_classes < layout.num_classes:
        warnings.warn(
            f"{source} names {num_classes} of the {layout.num_classes} classes of {layout.name}: "
            f"the run has {num_classes} classes",
            stacklevel=1,
        )
    return num_classes


def _check_labels(source: Path, images: Sequence[ListedImage], num_classes: int, whose: str) -> None:
    for image in images:
        if image.label >= num_classes:
            raise UserError(
                f"expected labels from 0 to {num_classes - 1}, {whose}, got {image.label} "
                f"({source}:{image.line}) (data.root)"
            )


def _image_root(root: Path, source: Path, parsed: ImageList) -> Path:
    """Folder that the paths of a list are relative to: `root`, or the list's folder if only that holds them."""
    first_folder = parsed.images[0].path.partition("/")[0] if parsed.images else ""
    is_elsewhere = status_of(root / first_folder) is None and status_of(source.parent / first_folder) is not None
    return source.parent if is_elsewhere else root
