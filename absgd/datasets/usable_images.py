"""The images of a data set that can be trained on: not those that are missing, may not be read, or are broken.

Shape legend: N images.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from absgd.datasets.data_files import check_entered
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.image_lists import BadLine
from absgd.datasets.image_reading import BrokenImage, ImageFault, ReadFailed, check_decodes, error_at
from absgd.datasets.images import Indices, Mask
from absgd.errors import UserError
from absgd.paths import is_absent


def usable_images(
    images: ImageFiles,
    bad_lines: Sequence[BadLine],
    on_bad_image: Literal["error", "skip"],
    workers: int,
    missing: Sequence[int] = (),
) -> ImageFiles:
    """Return the images that can be trained on.

    `error` checks whether the files exist, by listing their folders, and decodes none: a broken image is found when it
    is read. `skip` decodes every image once, in `workers` threads, so that indices, hash and counts are fixed before
    training: a pass over all images each time the data set is read.

    Args:
        images: as the list or the folder names them.
        bad_lines: lines of `images.source` that are not in the format.
        on_bad_image: `data.on_bad_image`.
        workers: `data.workers`; 0 counts as 1.
        missing: positions of files known to be missing, although their folders have an entry of the name.

    Raises:
        UserError: with `error`, about the first bad line or missing image; with `skip`, if no image is left; with
            either, if a folder cannot be listed or the file system fails.
    """
    missing_N = _missing(images)
    missing_N[list(missing)] = True
    if on_bad_image == "error":
        _refuse(images, bad_lines, missing_N)
        return images
    faults = _faults(images, ~missing_N, max(workers, 1))
    bad_N = missing_N.copy()
    bad_N[list(faults)] = True
    kept = images.take(np.flatnonzero(~bad_N))
    counts = Counter({"malformed line": len(bad_lines), "missing image": int(missing_N.sum())})
    counts.update(Counter(faults.values()))
    left_out = ", ".join(f"{count} {_plural(what, count)}" for what, count in counts.items() if count)
    if not len(kept):
        raise UserError(f"expected images in {images.source}, got {left_out or 'none'} (data.root)")
    if left_out:
        message = f"{images.source}: left out {left_out}; {len(kept)} images remain (data.on_bad_image)"
        warnings.warn(message, stacklevel=1)
    return kept


def _plural(what: str, count: int) -> str:
    noun, that, rest = what.partition(" that ")
    return f"{noun}{'s' * (count > 1)}{that}{rest}"


def _refuse(images: ImageFiles, bad_lines: Sequence[BadLine], missing_N: Mask) -> None:
    """Raise the error for the first line that is malformed or names no file, if there is one."""
    first = int(missing_N.argmax()) if missing_N.any() else None
    if bad_lines and (first is None or bad_lines[0].line < images.lines_N[first]):
        line, reason = bad_lines[0]
        raise UserError(
            f"{reason} ({images.source}:{line}); `data.on_bad_image: skip` leaves such lines out (data.on_bad_image)"
        )
    if first is not None:
        raise images.error_at(first, "no file")
    if not len(images):
        raise UserError(f"expected images in {images.source}, got none (data.root)")


def _missing(images: ImageFiles) -> Mask:
    """Whether each file is missing. Each folder is listed once: on a network far quicker than asking per file."""
    names_in: dict[bytes, frozenset[bytes]] = {}
    root = os.fsencode(images.root)
    missing_N = np.zeros(len(images), dtype=np.bool_)
    for position, path in enumerate(images.paths_N.tolist()):
        folder, name = os.path.split(os.path.join(root, path))
        if folder not in names_in:
            names_in[folder] = _names(folder)
        missing_N[position] = name not in names_in[folder]
    return missing_N


def _names(folder: bytes) -> frozenset[bytes]:
    """Names in a folder; none if there is no such folder.

    Raises:
        UserError: if the folder is there and cannot be listed: that says nothing about its images.
    """
    try:
        names = frozenset(os.listdir(folder))
    except OSError as error:
        if is_absent(error):
            return frozenset()
        raise UserError(f"cannot list {os.fsdecode(folder)}: {error.strerror or error} (data.root)") from None
    check_entered(Path(os.fsdecode(folder)))
    return names


def _faults(images: ImageFiles, present_N: Mask, workers: int) -> Mapping[int, ImageFault]:
    """Position -> fault of each present file that is no image; PIL decodes outside Python's lock: threads suffice."""

    def among(positions: Indices) -> list[tuple[int, ImageFault]]:
        return list(_faults_at(images, positions))

    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(among, np.array_split(np.flatnonzero(present_N), workers))
        return dict(found for part in parts for found in part)


def _faults_at(images: ImageFiles, positions: Indices) -> Iterator[tuple[int, ImageFault]]:
    for position in positions.tolist():
        try:
            check_decodes(images.path(position))
        except BrokenImage as error:
            yield position, error.fault
        except ReadFailed as fault:
            raise error_at(images, position, fault) from None
