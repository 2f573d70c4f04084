"""A check of the images that the reader of a user's own data set returns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images
from absgd.errors import UserError
from absgd.registry.dataset_table import DatasetSpec

_Refusal = Callable[[str, object], UserError]


def checked_own_images(read: object, name: str, part: str, spec: DatasetSpec) -> Images | ImageFiles:
    """Return the images of a reader, a pair of arrays as `Images`.

    Args:
        read: what the reader returned.
        name: value of `data.name`.
        part: `train`, `val` or `test`.
        spec: entry of the data set.

    Raises:
        UserError: if pixels are not uint8 of the declared shape, or labels are not whole numbers of the classes.
    """

    def refuse(expected: str, got: object) -> UserError:
        whose = f"{part} of data `{name}` of plugin `{spec.plugin}`"
        return UserError(f"expected {expected} in {whose}, got {got} (data.name)")

    if isinstance(read, tuple) and len(read) == 2:
        read = _as_images(*read, refuse)
    wanted = Images if spec.in_memory else ImageFiles
    if not isinstance(read, wanted):
        pair = " or a pair of arrays" if spec.in_memory else ""
        raise refuse(f"absgd.datasets.{wanted.__name__}{pair}", type(read).__name__)
    if isinstance(read, ImageFiles) and read.num_classes != spec.num_classes:
        raise refuse(f"{spec.num_classes} classes", read.num_classes)
    shape = (spec.channels, spec.side, spec.side)
    if isinstance(read, Images) and read.images_NCHW.shape[1:] != shape:
        raise refuse(f"images of shape {shape}", read.images_NCHW.shape[1:])
    outside = read.labels_N[(read.labels_N < 0) | (read.labels_N >= (spec.num_classes or 0))]
    if len(outside):
        raise refuse(f"labels from 0 to {(spec.num_classes or 0) - 1}", outside[0])
    return read


def _as_images(images: object, labels: object, refuse: _Refusal) -> Images:
    try:
        images_NCHW, labels_N = np.asarray(images), np.asarray(labels)
    except (TypeError, ValueError) as error:
        raise refuse("a pair of arrays", f"{type(error).__name__}: {error}") from None
    if images_NCHW.dtype != np.uint8 or images_NCHW.ndim != 4:
        raise refuse("images in uint8 of shape (N, C, H, W)", f"{images_NCHW.dtype} of shape {images_NCHW.shape}")
    if labels_N.dtype.kind not in "iu" or labels_N.shape != images_NCHW.shape[:1]:
        wanted = f"one whole-number label for each of {len(images_NCHW)} images"
        raise refuse(wanted, f"{labels_N.dtype} of shape {labels_N.shape}")
    return Images(np.ascontiguousarray(images_NCHW), labels_N.astype(np.int64))
