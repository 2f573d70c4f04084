"""ImageFiles: labelled images in files.

Shape legend: N images, M of them taken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from absgd.datasets.image_lists import ListedImage
from absgd.datasets.images import Indices, Labels
from absgd.errors import UserError

Paths = npt.NDArray[np.bytes_]


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

    def named(self, position: int) -> str:
        """Path of the image at a position, and the line that names it, for a message."""
        line = int(self.lines_N[position])
        return f"{self.path(position)}" + (f" (named at {self.source}:{line})" if line else "")

    def error_at(self, position: int, reason: str) -> UserError:
        """The error for a file that is no image to train on."""
        return UserError(
            f"expected an image, got {reason}: {self.named(position)}; "
            "`data.on_bad_image: skip` leaves such images out (data.on_bad_image)"
        )

    def storage_error_at(self, position: int, reason: str) -> UserError:
        """The error for a file system that fails at a file."""
        return UserError(f"cannot read {self.named(position)}: {reason} (data.root)")


def encoded(paths: Sequence[str]) -> Paths:
    """Relative paths as the array that ImageFiles holds."""
    return np.array([os.fsencode(path) for path in paths], dtype=np.bytes_).reshape(len(paths))


def as_image_files(root: Path, source: Path, found: Sequence[ListedImage], num_classes: int) -> ImageFiles:
    """Return the images that a list names, or a folder, as ImageFiles; nothing is checked."""
    return ImageFiles(
        root=root,
        paths_N=encoded([image.path for image in found]),
        labels_N=np.array([image.label for image in found], dtype=np.int64),
        lines_N=np.array([image.line for image in found], dtype=np.int64),
        source=source,
        num_classes=num_classes,
    )
