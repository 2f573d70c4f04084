"""Reading one image file: its picture as RGB, or why there is none."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image, UnidentifiedImageError

from absgd.datasets.eight_bits import NotInEightBits, rgb_of
from absgd.datasets.image_files import ImageFiles
from absgd.errors import UserError
from absgd.paths import NotRegular, is_absent, is_denied, open_regular

ImageFault = Literal["missing image", "broken image", "image that may not be read", "image that 8 bits cannot hold"]
"""Kind of a file that is no image to train on."""

MAX_RATIO = 100
"""Largest ratio of the sides of an image: beside a side of 256 the other has 25,600 pixels."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Errors that PIL raises for files that are not whole images."""
_OF_THE_DECODER = (None, errno.EINVAL)
"""`errno` of errors that a decoder raises at damaged content; any other comes from the system."""


class BrokenImage(Exception):  # noqa: N818 - names a state of a file
    """A file cannot be read as an image; the message says why."""

    def __init__(self, reason: str, fault: ImageFault = "broken image") -> None:
        super().__init__(reason)
        self.fault: ImageFault = fault


class ReadFailed(Exception):  # noqa: N818 - names an event
    """The file system or the memory failed, so that nothing is known about the file; the message says how."""


def read_rgb(path: Path) -> Image.Image:
    """The picture in an image file, as RGB in eight bits (`rgb_of`); an EXIF orientation is not applied.

    Of an animation or several pages it is the first.

    Raises:
        BrokenImage: if the file is missing, may not be read, is not a whole image, or would lose its picture.
        ReadFailed: if the file system fails.
    """
    with _opened(path) as image:
        return rgb_of(image)


def check_decodes(path: Path) -> None:
    """Decode the image in a file whole, JPEG at an eighth of its side, which costs less and reads every byte.

    Raises:
        BrokenImage, ReadFailed: as `read_rgb`.
    """
    with _opened(path) as image:
        image.draft("RGB", (1, 1))
        rgb_of(image)


def error_at(images: ImageFiles, position: int, fault: BrokenImage | ReadFailed) -> UserError:
    """Return the error for an image that cannot be read, naming it and the line of its list."""
    if isinstance(fault, ReadFailed):
        return images.storage_error_at(position, str(fault))
    return images.error_at(position, str(fault))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image for the block; raise what goes wrong with it as BrokenImage or ReadFailed."""
    try:
        with open_regular(path) as file:
            try:
                image = Image.open(file)
            except UnidentifiedImageError:
                file.seek(0)
                raise BrokenImage(_other_content(file.read(len(_LFS_POINTER)))) from None
            with image:
                _check_shape(*image.size)
                yield image
    except NotInEightBits as error:
        raise BrokenImage(f"an image that 8 bits cannot hold: {error}", "image that 8 bits cannot hold") from None
    except (*_BROKEN, MemoryError) as error:
        raise fault_of(error) from None


def fault_of(error: Exception) -> BrokenImage | ReadFailed:
    """Return the fault of a file that the error of opening, reading or decoding it shows."""
    if isinstance(error, NotRegular):
        return BrokenImage(f"{error}, which cannot be decoded")
    if isinstance(error, OSError):
        if error.errno == errno.EISDIR:
            return BrokenImage("a folder, which cannot be decoded")
        if is_absent(error):
            return BrokenImage("no file", "missing image")
        if is_denied(error):
            return BrokenImage("a file that may not be read, permission denied", "image that may not be read")
        if error.errno not in _OF_THE_DECODER:
            return ReadFailed(error.strerror or str(error))
    if isinstance(error, MemoryError):
        return ReadFailed("not enough memory to decode it")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BrokenImage(f"a file that cannot be decoded, {reason}")


def _other_content(head: bytes) -> str:
    """Return the kind of a file that PIL does not know."""
    if head == _LFS_POINTER:
        return "a pointer of Git LFS in place of the image (`git lfs pull` fetches it)"
    return "a file that is not an image, or of a kind that is not supported"


def _check_shape(width: int, height: int) -> None:
    """Refuse an image that is so long that it would fill the memory when its shorter side is brought to the crop's.

    Raises:
        BrokenImage: naming its size.
    """
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BrokenImage(f"an image of {width} x {height} pixels, one side more than {MAX_RATIO} times the other")
