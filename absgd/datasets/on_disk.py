"""Readers of the data sets whose images stay on disk: they return paths and labels; `DiskBatches` reads the images.

`train` and `test` are read separately. The training part decides the number of classes, so that labels mean the same
in every part; the others are compared with it, since an image of theirs that is trained on makes a run look better.
"""

from __future__ import annotations

import codecs
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from absgd.config.sections import DataConfig
from absgd.datasets.data_files import damaged, data_root, locate, read_bytes, status_of
from absgd.datasets.duplicates import check_given_once, check_not_shared, listed_identities, shared_with
from absgd.datasets.image_checks import checked
from absgd.datasets.image_files import ImageFiles, encoded
from absgd.datasets.image_folders import IMAGE_SUFFIXES, PassedOver, class_folders, images_below
from absgd.datasets.image_lists import (
    BadLine,
    ImageList,
    ListedImage,
    parse_image_list,
    parse_key_values,
    parse_keys_with_labels,
    parse_names,
    parse_val_annotations,
)
from absgd.errors import UserError

DiskPart = Literal["train", "val", "test"]

TINY_IMAGENET_CLASSES = 200
COMPARED_IN_FOLDERS = 50_000
"""Most images of a user's folders of which equal files under other names are looked for: more take too long."""
COMPARED_IN_LISTS = 5_000
"""The same for lists: fewer than every published list has, since nobody can mend those."""


@dataclass(frozen=True)
class ListLayout:
    """File names and folders of a data set that is published as lists."""

    name: str
    num_classes: int
    """Published number of classes."""
    lists: Mapping[DiskPart, Sequence[tuple[str, ...]]]
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


def read_listed(layout: ListLayout, config: DataConfig, part: DiskPart) -> ImageFiles:
    """Read a part of a data set that is published as lists.

    Lists are searched in `data.root` and in the layout's folders inside it. Paths in them are relative to
    `data.root`, or to the folder of the list if only that holds their first folder. The number of classes is the
    largest label of the training list + 1, so that a shortened data set works; fewer than published give a warning.

    Raises:
        UserError: if a list is absent, a label is not of the data set, or `data.on_bad_image: error` finds a line that
            is malformed or names no file; each with the file and, where there is one, the line. With
            `data.on_duplicate: refuse`, if an image is given twice, or is in the training list too.
    """
    _warn_of_download(config, layout.name)
    train_list, train = _parsed(layout, config, "train")
    num_classes = _num_classes(layout, train_list, train)
    source, parsed = (train_list, train) if part == "train" else _parsed(layout, config, part)
    _check_labels(source, parsed.images, num_classes, f"the classes of {train_list}")
    root = _image_root(data_root(config), source, parsed)
    images = _checked_files(root, source, parsed.images, parsed.bad_lines, num_classes, config)
    identities = listed_identities(root, [os.fsdecode(path) for path in images.paths_N])
    check_given_once(images, identities, config.on_duplicate, COMPARED_IN_LISTS)
    if part != "train":
        train_root = _image_root(data_root(config), train_list, train)
        trained = _as_files(train_root, train_list, train.images, num_classes)
        trained_identities = listed_identities(train_root, [image.path for image in train.images])
        shared = shared_with(images, identities, trained, trained_identities, COMPARED_IN_LISTS)
        check_not_shared(images, sorted(shared), str(train_list), config.on_duplicate)
    return images


read_imagenet_lt = partial(read_listed, IMAGENET_LT)
read_places_lt = partial(read_listed, PLACES_LT)
read_inaturalist18 = partial(read_listed, INATURALIST18)
read_clothing1m = partial(read_listed, CLOTHING1M)


def read_tiny_imagenet(config: DataConfig, part: Literal["train", "test"]) -> ImageFiles:
    """Read Tiny-ImageNet in its published layout, in `data.root` or in tiny-imagenet-200 inside it.

    A label is the position of its class in wnids.txt. The labels of its test images are not published: its
    validation images are the test set, and validation is cut from training.

    Raises:
        UserError: as `read_listed`.

    Source: the layout of tiny-imagenet-200 (Stanford CS231n).
    """
    _warn_of_download(config, "Tiny-ImageNet")
    wnids_path = _located(data_root(config), ("tiny-imagenet-200",), [("wnids.txt",)], "Tiny-ImageNet")[0]
    root, wnids = wnids_path.parent, parse_names(_text(wnids_path))
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    folders = {f"train/{wnid}/images": label for wnid, label in label_of.items()}
    if not 2 <= len(label_of) == len(wnids) <= TINY_IMAGENET_CLASSES:
        raise damaged(wnids_path, f"expected 2 to {TINY_IMAGENET_CLASSES} different classes, got {len(wnids)} lines")
    if part == "test":
        source = root / "val" / "val_annotations.txt"
        parsed = parse_val_annotations(_text(source), label_of)
        images = _checked_files(root, source, parsed.images, parsed.bad_lines, len(wnids), config)
        identities = listed_identities(root, [os.fsdecode(path) for path in images.paths_N])
        check_given_once(images, identities, config.on_duplicate, COMPARED_IN_LISTS)
        shared = _shared_with_folders(images, identities, root, folders, COMPARED_IN_LISTS)
        check_not_shared(images, sorted(shared), str(root / "train"), config.on_duplicate)
        return images
    return _images_in_folders(root, "train", folders, (), len(wnids), config, COMPARED_IN_LISTS, PassedOver())


def read_imagefolder(config: DataConfig, part: DiskPart) -> ImageFiles:
    """Read a user's own images: `data.root`/train/<class>/, and val and test likewise if they are needed.

    Classes are the folders in train, in the order of their names, with images at any depth (`images_below`).

    Raises:
        UserError: if a folder is absent, train has fewer than two classes or one without images, val or test has a
            class that train lacks, or as `read_listed`.
    """
    _warn_of_download(config, "imagefolder")
    root, passed_over = data_root(config), PassedOver()
    label_of = {name: label for label, name in enumerate(class_folders(root / "train", PassedOver()))}
    if len(label_of) < 2:
        raise UserError(f"expected at least 2 class folders in {root / 'train'}, got {len(label_of)} (data.root)")
    names = class_folders(root / part, passed_over)
    for name in names:
        if name not in label_of:
            raise UserError(f"expected the class folders of {root / 'train'}, got {root / part / name} (data.root)")
    folders = {f"{part}/{name}": label_of[name] for name in names}
    others = [] if part == "train" else [f"train/{name}" for name in label_of]
    if part == "test" and config.validation == "own":
        others += [f"val/{name}" for name in class_folders(root / "val", PassedOver())]
    return _images_in_folders(root, part, folders, others, len(label_of), config, COMPARED_IN_FOLDERS, passed_over)


def _images_in_folders(
    root: Path,
    part: DiskPart,
    folders: Mapping[str, int],
    compared: Iterable[str],
    num_classes: int,
    config: DataConfig,
    compare_up_to: int,
    passed_over: PassedOver,
) -> ImageFiles:
    """The images of a part in folders of one label each; training needs an image in every folder.

    None of them may be in the folders of other parts, nor equal to an image in the folders `compared`.
    """
    found: list[ListedImage] = []
    missing: list[int] = []
    identity_of: dict[str, str] = {}
    for folder, label in folders.items():
        inside = images_below(root, folder, passed_over)
        if part == "train" and not inside:
            raise UserError(
                f"expected images ({', '.join(IMAGE_SUFFIXES)}) in every class folder, got none in "
                f"{root / folder} (data.root)"
            )
        missing += (len(found) + place for place, image in enumerate(inside) if image.is_missing)
        identity_of |= {image.path: image.identity for image in inside if image.identity != image.path}
        found += (ListedImage(0, image.path, label) for image in inside)
    passed_over.warn(root / part)
    images = _checked_files(root, root / part, found, [], num_classes, config, missing)
    paths = [os.fsdecode(path) for path in images.paths_N]
    identities = [identity_of.get(path, path) for path in paths]
    check_given_once(images, identities, config.on_duplicate, compare_up_to)
    others = tuple(f"{other}/" for other in get_args(DiskPart) if other != part)
    shared = {position for position, identity in enumerate(identities) if identity.startswith(others)}
    shared |= _shared_with_folders(images, identities, root, compared, compare_up_to)
    check_not_shared(images, sorted(shared), " or ".join(str(root / other) for other in others), config.on_duplicate)
    return images


def _shared_with_folders(
    images: ImageFiles, identities: Sequence[str], root: Path, folders: Iterable[str], compare_up_to: int
) -> frozenset[int]:
    """Positions of the images that the folders of another part have too."""
    found = [image for folder in folders for image in images_below(root, folder, PassedOver())]
    other = _as_files(root, root, [ListedImage(0, image.path, 0) for image in found], images.num_classes)
    real = os.path.realpath(root)
    own = [os.path.join(real, identity) for identity in identities]
    others = [os.path.join(real, image.identity) for image in found]
    return shared_with(images, own, other, others, compare_up_to)


def imagefolder_classes(config: DataConfig) -> tuple[str, ...]:
    """Names of the classes of `read_imagefolder`: its folders in train.

    Raises:
        UserError: if the folder cannot be read.
    """
    return tuple(class_folders(data_root(config) / "train", PassedOver()))


def tiny_imagenet_classes(config: DataConfig) -> tuple[str, ...]:
    """Identifiers (wnid) of the classes of `read_tiny_imagenet`.

    Raises:
        UserError: if wnids.txt is absent or cannot be read.
    """
    found = _located(data_root(config), ("tiny-imagenet-200",), [("wnids.txt",)], "Tiny-ImageNet")
    return tuple(parse_names(_text(found[0])))


def _parsed(layout: ListLayout, config: DataConfig, part: DiskPart) -> tuple[Path, ImageList]:
    """Path and content of the list of a part."""
    paths = _located(data_root(config), layout.folders, layout.lists[part], layout.name)
    texts = [_text(path) for path in paths]
    return paths[0], layout.parse(*texts) if len(texts) == 1 else parse_keys_with_labels(*texts)


def _located(
    root: Path, inner_folders: Sequence[str], alternatives: Sequence[tuple[str, ...]], name: str
) -> list[Path]:
    """The files of the first of the alternatives that are found together in `root` or a folder inside it."""
    folders = [root, *(root / inner for inner in inner_folders)]
    for names in alternatives:
        if found := locate(folders, names):
            return found
    wanted = ", or ".join(" and ".join(names) for names in alternatives)
    raise UserError(
        f"expected {wanted} in {' or '.join(map(str, folders))}, found none: give the folder of {name} as "
        "`data.root`; it cannot be downloaded here (data.root)"
    )


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


def _checked_files(
    root: Path,
    source: Path,
    found: Sequence[ListedImage],
    bad_lines: Sequence[BadLine],
    num_classes: int,
    config: DataConfig,
    missing: Sequence[int] = (),
) -> ImageFiles:
    images = _as_files(root, source, found, num_classes)
    return checked(images, bad_lines, config.on_bad_image, config.workers, missing)


def _as_files(root: Path, source: Path, found: Sequence[ListedImage], num_classes: int) -> ImageFiles:
    return ImageFiles(
        root=root,
        paths_N=encoded([image.path for image in found]),
        labels_N=np.array([image.label for image in found], dtype=np.int64),
        lines_N=np.array([image.line for image in found], dtype=np.int64),
        source=source,
        num_classes=num_classes,
    )


def _text(path: Path) -> str:
    content = read_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise damaged(path, "expected UTF-8 text, got UTF-16")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, f"expected UTF-8 text, got an invalid byte at position {error.start}") from None


def _warn_of_download(config: DataConfig, name: str) -> None:
    if config.download:
        warnings.warn(f"{name} cannot be downloaded here: `data.download` is not used", stacklevel=1)
