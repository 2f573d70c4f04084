"""Images as RGB in eight bits: the values that each mode gives, and what eight bits cannot hold."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from absgd.datasets.eight_bits import NotInEightBits, rgb_of

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS_HWC = np.random.default_rng(0).integers(256, size=(16, 12, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> Image.Image:
    """The image as a file of a kind gives it back."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


def grey(image: Image.Image) -> Any:
    values_HWC = np.asarray(rgb_of(image))
    assert (values_HWC == values_HWC[..., :1]).all()
    return values_HWC[..., 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_by_its_full_range(kind: str) -> None:
    image = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    np.testing.assert_array_equal(grey(saved(image, kind)), LEVELS)


def test_16_bit_grey_of_the_other_byte_order_is_the_same() -> None:
    image = Image.new("I;16B", (16, 16))
    image.frombytes((LEVELS.astype(">u2") * 257).astype(">u2").tobytes())
    np.testing.assert_array_equal(grey(saved(image, "TIFF")), LEVELS)


def test_16_bit_values_are_rounded_to_the_nearest_level() -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    np.testing.assert_array_equal(grey(Image.fromarray(values)), np.rint(values / 257))


def test_12_bit_tiff_is_scaled_by_12_bits() -> None:
    image = saved(Image.fromarray(LEVELS.astype(np.uint16) * 16), "TIFF")
    image.tag_v2[258] = (12,)  # type: ignore[attr-defined]  # PIL writes no such file
    np.testing.assert_array_equal(grey(image), np.rint(LEVELS * 16.0 * 255 / 4095))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "RGBA"])
def test_8_bit_modes_are_converted_as_pil_does(mode: str) -> None:
    image = Image.fromarray(COLOURS_HWC).convert(mode)
    np.testing.assert_array_equal(np.asarray(rgb_of(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "PA"])
def test_grey_and_palette_with_transparency_keep_their_colours(mode: str) -> None:
    image = Image.fromarray(COLOURS_HWC).convert("L" if mode == "LA" else "P").convert(mode)
    np.testing.assert_array_equal(np.asarray(rgb_of(image)), np.asarray(image.convert("RGB")))


def test_lab_is_converted() -> None:
    assert rgb_of(Image.new("LAB", (4, 4), (128, 0, 0))).mode == "RGB"


def test_transparent_palette_colour_stays_a_colour() -> None:
    image = Image.fromarray(LEVELS // 64).convert("P")
    image.putpalette([0, 0, 0, 90, 0, 0, 0, 90, 0, 0, 0, 90])
    transparent = saved(image, "PNG", transparency=bytes([0, 255, 255, 255]))
    np.testing.assert_array_equal(np.asarray(rgb_of(transparent)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_values_from_0_to_255_are_levels(dtype: Any) -> None:
    np.testing.assert_array_equal(grey(saved(Image.fromarray(LEVELS.astype(dtype)), "TIFF")), LEVELS)


@pytest.mark.parametrize("value", [0, 40_000])
def test_16_bit_image_of_one_value_is_an_image(value: int) -> None:
    assert np.unique(grey(Image.fromarray(np.full((4, 4), value, np.uint16)))).tolist() == [round(value / 257)]


def test_two_values_of_16_bits_stay_two() -> None:
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert grey(image).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.fromarray(LEVELS.astype(np.uint16)), "256 grey values from 0 to 255 of 0 to 65535, of which 2 would"),
        (Image.fromarray(LEVELS.astype(np.uint16) * 16), "from 0 to 4080 of 0 to 65535, of which 17 would remain"),
        (Image.fromarray((LEVELS > 9).astype(np.uint16)), "2 grey values from 0 to 1 of 0 to 65535, of which 1 would"),
        (Image.fromarray((LEVELS / 255).astype(np.float32)), "from 0 to 1 of 0 to 255, of which 2 would remain"),
        (Image.fromarray(LEVELS.astype(np.float32) - 9), "floats from -9 to 246, outside 0 to 255"),
        (Image.fromarray(LEVELS.astype(np.int32) * 257), "32-bit integers from 0 to 65535, outside 0 to 255"),
        (Image.fromarray(np.where(LEVELS == 3, np.nan, LEVELS).astype(np.float32)), "floats .*, outside 0 to 255"),
        (Image.fromarray(np.full((4, 4), np.inf, np.float32)), "floats from inf to inf, outside 0 to 255"),
        (Image.merge("LA", (Image.new("L", (16, 16)), Image.fromarray(LEVELS))), "one colour throughout"),
    ],
)
def test_picture_that_8_bits_would_lose_is_refused(image: Image.Image, reason: str) -> None:
    with pytest.raises(NotInEightBits, match=reason):
        rgb_of(image)


def test_palette_image_with_its_picture_in_transparency_is_refused() -> None:
    image = Image.fromarray(LEVELS // 16).convert("P")
    image.putpalette([0, 0, 0] * 16)
    with pytest.raises(NotInEightBits, match="with the picture in its transparency"):
        rgb_of(saved(image, "PNG", transparency=bytes(range(0, 256, 16))))


@pytest.mark.parametrize("alpha", [0, 255])
def test_blank_image_of_even_transparency_is_an_image(alpha: int) -> None:
    assert rgb_of(Image.new("RGBA", (4, 4), (9, 9, 9, alpha))).getpixel((0, 0)) == (9, 9, 9)
