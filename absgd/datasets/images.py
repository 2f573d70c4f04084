"""Images: labelled images in memory, the currency between readers, splits and batches.

Shape legend: N images, M of them taken, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images; the arrays may be read-only and shared between processes: nothing writes to them."""

    images_NCHW: Pixels
    """Grey or RGB values, uint8, contiguous."""
    labels_N: Labels
    """Class of each image, int64."""

    def __post_init__(self) -> None:
        assert self.images_NCHW.dtype == np.uint8, self.images_NCHW.dtype
        assert self.images_NCHW.ndim == 4, self.images_NCHW.shape
        assert self.images_NCHW.flags.c_contiguous
        assert self.labels_N.dtype == np.int64, self.labels_N.dtype
        assert self.labels_N.shape == self.images_NCHW.shape[:1], (self.labels_N.shape, self.images_NCHW.shape)

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, index_M: Indices, labels_M: Labels | None = None) -> Images:
        """A copy of the images at `index_M`, in that order, with their own labels or the given ones."""
        return Images(self.images_NCHW[index_M], self.labels_N[index_M] if labels_M is None else labels_M)
