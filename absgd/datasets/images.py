"""Images: labelled images in memory, the currency between readers, splits and batches.

Shape legend: N images, M of them taken, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Part = Literal["train", "val", "test"]
"""Part of a data set: `train`, from which validation may be cut; `val`, where the data set has its own; `test`."""


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images; the arrays may be read-only and shared between processes: nothing writes to them."""

    images_NCHW: Pixels
    """Grey or RGB values, uint8, contiguous."""
    labels_N: Labels
    """Class of each image, int64."""

    def __post_init__(self) -> None:
        pixels, labels = self.images_NCHW, self.labels_N
        assert pixels.dtype == np.uint8, f"expected images in uint8, got {pixels.dtype}"
        assert pixels.ndim == 4, f"expected images of shape (N, C, H, W), got {pixels.shape}"
        assert pixels.flags.c_contiguous, "expected contiguous images"
        assert labels.dtype == np.int64, f"expected labels in int64, got {labels.dtype}"
        assert labels.shape == pixels.shape[:1], (
            f"expected a label for each of {len(pixels)} images, got {labels.shape}"
        )

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, index_M: Indices, labels_M: Labels | None = None) -> Images:
        """A copy of the images at `index_M`, in that order, with their own labels or the given ones."""
        return Images(self.images_NCHW[index_M], self.labels_N[index_M] if labels_M is None else labels_M)
