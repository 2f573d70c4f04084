"""ImageFiles: labelled images in files, and the checks for files that are missing or broken.

Shape legend: N images, M of them taken.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from absgd.datasets.image_lists import BadLine
from absgd.datasets.images import Indices, Labels
from absgd.errors import UserError

Paths = npt.NDArray[np.bytes_]

_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Errors that PIL raises for files that are not whole images."""


class BrokenImage(Exception):  # noqa: N818 - names a state of a file
    """A file cannot be read as an image; the message says why."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Labelled images in files. The arrays may be read-only and shared between processes: nothing writes to them."""

    root: Path
    """Folder that the paths are relative to."""
    paths_N: Paths
    """Relative paths in the file system's encoding: one array, which processes share, not N Python objects."""
    labels_N: Labels
    """Class of each image, int64."""
    lines_N: Indices
    """Line of `source` that names the image, from 1; 0 where no list does."""
    source: Path
    """The list, or the folder where there is none."""
    num_classes: int
    """Classes of the data set's training part, the same for every part."""

    def __post_init__(self) -> None:
        assert self.labels_N.dtype == np.int64, self.labels_N.dtype
        assert self.lines_N.dtype == np.int64, self.lines_N.dtype
        assert self.paths_N.shape == self.labels_N.shape == self.lines_N.shape

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, index_M: Indices, labels_M: Labels | None = None) -> ImageFiles:
        """The images at `index_M`, in that order, with their own labels or the given ones."""
        labels_M = self.labels_N[index_M] if labels_M is None else labels_M
        lines_M = self.lines_N[index_M]
        return ImageFiles(self.root, self.paths_N[index_M], labels_M, lines_M, self.source, self.num_classes)

    def path(self, position: int) -> Path:
        """Path of the image at a position."""
        return self.root / os.fsdecode(self.paths_N[position])

    def error_at(self, position: int, reason: str) -> UserError:
        """The error for the image at a position, with the line that names it."""
        line = int(self.lines_N[position])
        named = f" (named at {self.source}:{line})" if line else ""
        return UserError(
            f"expected an image, got {reason}: {self.path(position)}{named}; "
            "`data.on_bad_image: skip` leaves such images out (data.on_bad_image)"
        )


@contextmanager
def _pil_errors_as_broken() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BrokenImage("no file") from None
    except UnidentifiedImageError:
        raise BrokenImage("a file that is not an image") from None
    except _BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BrokenImage(f"a file that cannot be decoded, {reason}") from None


def encoded(paths: Sequence[str]) -> Paths:
    """Relative paths as the array that ImageFiles holds."""
    return np.array([os.fsencode(path) for path in paths], dtype=np.bytes_).reshape(len(paths))


def read_rgb(path: Path) -> Image.Image:
    """The image in a file, decoded, as RGB.

    Grey, palette and CMYK images are converted, transparency is dropped, and an EXIF orientation is not applied.

    Raises:
        BrokenImage: if the file is missing or not a whole image.
    """
    with _pil_errors_as_broken(), Image.open(path) as image:
        return image.convert("RGB")


def check_decodes(path: Path) -> None:
    """Decode the image in a file whole, JPEG at an eighth of its side, which costs less and reads every byte.

    Raises:
        BrokenImage: if the file is missing or not a whole image.
    """
    with _pil_errors_as_broken(), Image.open(path) as image:
        image.draft("RGB", (1, 1))
        image.convert("RGB")


def checked(
    images: ImageFiles, bad_lines: Sequence[BadLine], on_bad_image: Literal["error", "skip"], workers: int
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

    Raises:
        UserError: with `error`, about the first bad line or missing image; with `skip`, if no image is left.
    """
    missing_N = _missing(images)
    if on_bad_image == "error":
        _refuse(images, bad_lines, missing_N)
        return images
    broken_N = _broken(images, ~missing_N, max(workers, 1))
    kept = images.take(np.flatnonzero(~(missing_N | broken_N)))
    counts = {
        "malformed line": len(bad_lines),
        "missing image": int(missing_N.sum()),
        "broken image": int(broken_N.sum()),
    }
    left_out = ", ".join(f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count)
    if not len(kept):
        raise UserError(f"expected images in {images.source}, got {left_out or 'none'} (data.root)")
    if left_out:
        message = f"{images.source}: left out {left_out}; {len(kept)} images remain (data.on_bad_image)"
        warnings.warn(message, stacklevel=1)
    return kept


def _refuse(images: ImageFiles, bad_lines: Sequence[BadLine], missing_N: npt.NDArray[np.bool_]) -> None:
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


def _missing(images: ImageFiles) -> npt.NDArray[np.bool_]:
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
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _broken(images: ImageFiles, present_N: npt.NDArray[np.bool_], workers: int) -> npt.NDArray[np.bool_]:
    """Whether each present file cannot be decoded; PIL decodes outside Python's lock, so threads suffice."""

    def broken_among(positions: Indices) -> list[int]:
        return [position for position in positions.tolist() if _is_broken(images.path(position))]

    broken_N = np.zeros(len(images), dtype=np.bool_)
    with ThreadPoolExecutor(workers) as pool:
        for positions in pool.map(broken_among, np.array_split(np.flatnonzero(present_N), workers)):
            broken_N[positions] = True
    return broken_N


def _is_broken(path: Path) -> bool:
    try:
        check_decodes(path)
    except BrokenImage:
        return True
    return False
