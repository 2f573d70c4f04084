"""The picture of a decoded image as RGB in eight bits, or why eight bits would lose it.

Shape legend: H rows, W columns.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

MIN_LEVELS = 32
"""Fewest grey levels that may remain of an image that has more."""
_FULL_RANGE = 65535
_BITS_PER_SAMPLE = 258
"""TIFF tag."""
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


class NotInEightBits(Exception):  # noqa: N818 - names a state of an image
    """An image would lose its picture as RGB in eight bits; the message says why."""


def rgb_of(image: Image.Image) -> Image.Image:
    """Return an image as RGB in eight bits.

    Grey, palette, bilevel, CMYK, YCbCr, LAB and HSV images are converted as PIL does it, and transparency is dropped.
    Grey values of 16 bits are scaled by their full range, 0 to 65535, or 0 to 4095 in a TIFF of 12 bits. Grey values of
    32 bits and floats have no full range that all programs agree on: they count as 0 to 255.

    Raises:
        NotInEightBits: if values lie outside that range, if fewer than 32 grey levels remain of more, or if all pixels
            have one colour and differ in transparency alone.
        ValueError: if PIL cannot convert the image's mode.
    """
    if image.mode.startswith("I;16"):
        return _scaled(np.asarray(image), _full_range(image))
    if image.mode == "I" and image.format in ("PPM", "PNG"):  # 16 bits; PIL scales other maxima to 65535
        return _scaled(np.asarray(image), _FULL_RANGE)
    if image.mode in ("I", "F"):
        return _unscaled(image)
    if image.mode in _WITH_ALPHA or (image.mode == "P" and "transparency" in image.info):
        return _without_alpha(image.convert("RGBA"))
    return image.convert("RGB")


def _full_range(image: Image.Image) -> int:
    """Return the largest grey value that the file could hold."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    return int(2 ** (bits if isinstance(bits, int) else bits[0]) - 1)


def _scaled(values_HW: npt.NDArray[Any], full_range: int) -> Image.Image:
    """Return the grey image of values from 0 to `full_range`, each rounded to the nearest of 256 levels."""
    lowest, highest = int(values_HW.min()), int(values_HW.max())
    if lowest < 0 or highest > full_range:
        raise NotInEightBits(f"grey values from {lowest} to {highest}, outside 0 to {full_range}")
    level_of = (np.arange(full_range + 1, dtype=np.int64) * 255 + full_range // 2) // full_range
    given = np.flatnonzero(np.bincount(values_HW.ravel().astype(np.int64), minlength=1))
    _check_levels(len(np.unique(level_of[given])), len(given), f"{lowest} to {highest} of 0 to {full_range}")
    return Image.fromarray(level_of.astype(np.uint8)[values_HW]).convert("RGB")


def _unscaled(image: Image.Image) -> Image.Image:
    """Return an image of 32-bit integers or floats whose values are levels from 0 to 255 already."""
    values_HW = np.asarray(image)
    lowest, highest = values_HW.min(), values_HW.max()
    if not (lowest >= 0 and highest <= 255):  # NaN too
        kind = "floats" if image.mode == "F" else "32-bit integers"
        raise NotInEightBits(f"{kind} from {lowest:g} to {highest:g}, outside 0 to 255")
    converted = image.convert("RGB")
    levels = np.unique(np.asarray(converted.getchannel(0)))
    _check_levels(len(levels), len(np.unique(values_HW)), f"{lowest:g} to {highest:g} of 0 to 255")
    return converted


def _check_levels(left: int, given: int, values: str) -> None:
    if left < min(given, MIN_LEVELS):
        raise NotInEightBits(f"{given} grey values from {values}, of which {left} would remain")


def _without_alpha(image: Image.Image) -> Image.Image:
    """Return the colours of an RGBA image."""
    *colours, (least, most) = cast(tuple[tuple[int, int], ...], image.getextrema())
    if least < most and all(low == high for low, high in colours):
        raise NotInEightBits("one colour throughout, with the picture in its transparency")
    return image.convert("RGB")
