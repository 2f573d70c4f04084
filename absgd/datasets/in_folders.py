"""Readers of the data sets whose images lie in a folder for each class: they return paths and labels.

The training part decides the classes. The others are compared with it, as in `on_disk`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from absgd.config.sections import DataConfig
from absgd.datasets.data_files import damaged, data_root, needed_files, text_of, warn_of_download
from absgd.datasets.duplicates import (
    COMPARED_IN_FOLDERS,
    COMPARED_IN_LISTS,
    check_given_once,
    check_not_shared,
    listed_identities,
    shared_with,
)
from absgd.datasets.image_files import ImageFiles, as_image_files
from absgd.datasets.image_folders import IMAGE_SUFFIXES, PassedOver, class_folders, images_below
from absgd.datasets.image_lists import ListedImage, parse_names, parse_val_annotations
from absgd.datasets.images import Part
from absgd.datasets.usable_images import usable_images
from absgd.errors import UserError

TINY_IMAGENET_CLASSES = 200


def read_tiny_imagenet(config: DataConfig, part: Literal["train", "test"]) -> ImageFiles:
    """Read Tiny-ImageNet in its published layout, in `data.root` or in tiny-imagenet-200 inside it.

    A label is the position of its class in wnids.txt. The labels of its test images are not published: its
    validation images are the test set, and validation is cut from training.

    Raises:
        UserError: if wnids.txt is no list of classes, or as `on_disk.read_listed`.

    Source: the layout of tiny-imagenet-200 (Stanford CS231n).
    """
    warn_of_download(config, "Tiny-ImageNet")
    wnids_path = needed_files(data_root(config), ("tiny-imagenet-200",), [("wnids.txt",)], "Tiny-ImageNet")[0]
    root, wnids = wnids_path.parent, parse_names(text_of(wnids_path))
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    folders = {f"train/{wnid}/images": label for wnid, label in label_of.items()}
    if not 2 <= len(label_of) == len(wnids) <= TINY_IMAGENET_CLASSES:
        raise damaged(wnids_path, f"expected 2 to {TINY_IMAGENET_CLASSES} different classes, got {len(wnids)} lines")
    if part == "test":
        source = root / "val" / "val_annotations.txt"
        parsed = parse_val_annotations(text_of(source), label_of)
        listed = as_image_files(root, source, parsed.images, len(wnids))
        images = usable_images(listed, parsed.bad_lines, config.on_bad_image, config.workers)
        identities = listed_identities(root, [os.fsdecode(path) for path in images.paths_N])
        check_given_once(images, identities, config.on_duplicate, COMPARED_IN_LISTS)
        shared = _shared_with_folders(images, identities, root, folders, COMPARED_IN_LISTS)
        check_not_shared(images, sorted(shared), str(root / "train"), config.on_duplicate)
        return images
    return _images_in_folders(root, "train", folders, (), len(wnids), config, COMPARED_IN_LISTS, PassedOver())


def read_imagefolder(config: DataConfig, part: Part) -> ImageFiles:
    """Read a user's own images: `data.root`/train/<class>/, and val and test in the same layout if they are needed.

    Classes are the folders in train, in the order of their names, with images at any depth (`images_below`).

    Raises:
        UserError: if a folder is absent, train has fewer than two classes or one without images, val or test has a
            class that train lacks, or as `on_disk.read_listed`.
    """
    warn_of_download(config, "imagefolder")
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
    part: Part,
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
    listed = as_image_files(root, root / part, found, num_classes)
    images = usable_images(listed, [], config.on_bad_image, config.workers, missing)
    paths = [os.fsdecode(path) for path in images.paths_N]
    identities = [identity_of.get(path, path) for path in paths]
    check_given_once(images, identities, config.on_duplicate, compare_up_to)
    others = tuple(f"{other}/" for other in get_args(Part) if other != part)
    shared = {position for position, identity in enumerate(identities) if identity.startswith(others)}
    shared |= _shared_with_folders(images, identities, root, compared, compare_up_to)
    check_not_shared(images, sorted(shared), " or ".join(str(root / other) for other in others), config.on_duplicate)
    return images


def _shared_with_folders(
    images: ImageFiles, identities: Sequence[str], root: Path, folders: Iterable[str], compare_up_to: int
) -> frozenset[int]:
    """Positions of the images that the folders of another part have too."""
    found = [image for folder in folders for image in images_below(root, folder, PassedOver())]
    other = as_image_files(root, root, [ListedImage(0, image.path, 0) for image in found], images.num_classes)
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
    found = needed_files(data_root(config), ("tiny-imagenet-200",), [("wnids.txt",)], "Tiny-ImageNet")
    return tuple(parse_names(text_of(found[0])))
