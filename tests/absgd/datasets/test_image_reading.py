"""Reading one image: every mode as RGB, and files that are broken, forbidden, special or lost by the file system."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from absgd.datasets import image_reading
from absgd.datasets.image_reading import BrokenImage, ReadFailed, check_decodes, read_rgb
from tests.support.unprivileged import unprivileged_folder

PIXELS_HWC = np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8)
both_readers = pytest.mark.parametrize("read", [read_rgb, check_decodes])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_read_rgb_converts_any_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS_HWC).convert(mode).save(path)
    image = read_rgb(path)
    assert (image.mode, image.size) == ("RGB", (30, 40))
    if mode == "RGB":
        np.testing.assert_array_equal(np.asarray(image), PIXELS_HWC)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".gif"])
def test_first_picture_of_several_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 200, 0))
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=[second], **options)
    assert read_rgb(path).getpixel((4, 4)) == (200, 0, 0)


def missing(path: Path) -> str:
    return "no file"


def link_that_leads_nowhere(path: Path) -> str:
    path.symlink_to(path.parent / "gone.jpg")
    return "no file"


def link_to_itself(path: Path) -> str:
    path.symlink_to(path)
    return "no file"


def empty(path: Path) -> str:
    path.touch()
    return "a file that is not an image"


def text(path: Path) -> str:
    path.write_text("not an image")
    return "a file that is not an image"


def pointer_of_git_lfs(path: Path) -> str:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n")
    return "a pointer of Git LFS in place of the image"


def ribbon(path: Path) -> str:
    Image.new("RGB", (2, 201)).save(path, "PNG")
    return "an image of 2 x 201 pixels, one side more than 100 times the other"


def folder(path: Path) -> str:
    path.mkdir()
    return "a folder, which cannot be decoded"


def pipe(path: Path) -> str:
    os.mkfifo(path)
    return "a device or a pipe, which cannot be decoded"


def unix_socket(path: Path) -> str:
    short = Path(os.path.relpath(path))  # the path of a socket has at most 107 bytes
    socket.socket(socket.AF_UNIX).bind(str(short if len(str(short)) < len(str(path)) else path))
    return "a device or a socket, which cannot be decoded"


def device(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "a device or a pipe, which cannot be decoded"


def cut_jpeg(path: Path) -> str:
    Image.fromarray(PIXELS_HWC).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-300])
    return "cannot be decoded, .*truncated"


def cut_png(path: Path) -> str:
    Image.fromarray(PIXELS_HWC).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:-300])
    return "cannot be decoded"


def wrong_png(path: Path) -> str:
    Image.fromarray(PIXELS_HWC).save(path, "PNG")
    content = bytearray(path.read_bytes())
    content[60:200] = bytes(140)
    path.write_bytes(content)
    return "cannot be decoded"


def transparency_alone(path: Path) -> str:
    Image.fromarray(np.dstack([PIXELS_HWC * 0, PIXELS_HWC[..., 0]])).save(path, "PNG")
    return "an image that 8 bits cannot hold: one colour throughout"


DAMAGES = [
    *(
        missing,
        link_that_leads_nowhere,
        link_to_itself,
        empty,
        text,
        pointer_of_git_lfs,
        ribbon,
        folder,
        pipe,
        unix_socket,
        device,
    ),
    *(cut_jpeg, cut_png, wrong_png, transparency_alone),
]


@both_readers
@pytest.mark.parametrize("damage", DAMAGES)
def test_broken_image_says_why(tmp_path: Path, damage: Callable[[Path], str], read: Callable[[Path], object]) -> None:
    path = tmp_path / "image.jpg"
    reason = damage(path)
    with pytest.raises(BrokenImage, match=reason):
        read(path)


def failing_with(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file fail to open, as one does of a user without the right or on a network that is gone."""

    def fail(path: object) -> None:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(image_reading, "open_regular", fail)


@both_readers
@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_forbidden_file_says_permission_denied(
    tmp_path: Path, code: int, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_with(code, monkeypatch)
    with pytest.raises(BrokenImage, match="may not be read, permission denied") as caught:
        read(tmp_path / "image.jpg")
    assert caught.value.fault == "image that may not be read"


@both_readers
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EMFILE])
def test_failing_system_is_not_a_broken_image(
    tmp_path: Path, code: int, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_with(code, monkeypatch)
    with pytest.raises(ReadFailed, match=os.strerror(code)):
        read(tmp_path / "image.jpg")


@both_readers
def test_image_that_fills_the_memory_is_not_a_broken_image(
    tmp_path: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(image: object) -> None:
        raise MemoryError

    monkeypatch.setattr(image_reading, "rgb_of", fill)
    Image.fromarray(PIXELS_HWC).save(tmp_path / "image.png")
    with pytest.raises(ReadFailed, match="not enough memory"):
        read(tmp_path / "image.png")


class _FailingHalfWay:
    """A file that a network loses after its first bytes."""

    def __init__(self, path: Path) -> None:
        self._file, self._left = path.open("rb"), 200

    def __enter__(self) -> _FailingHalfWay:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        self._left -= size if size > 0 else 10**9
        if self._left < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.read(size)


@both_readers
def test_failing_system_in_the_middle_of_a_file_is_not_a_broken_image(
    tmp_path: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS_HWC).save(path)
    monkeypatch.setattr(image_reading, "open_regular", _FailingHalfWay)
    with pytest.raises(ReadFailed, match="Input/output error"):
        read(path)


@both_readers
def test_file_that_this_user_may_not_read_says_permission_denied(read: Callable[[Path], object]) -> None:
    with unprivileged_folder() as folder:
        (folder / "image.png").touch(0)
        with pytest.raises(BrokenImage, match="may not be read, permission denied"):
            read(folder / "image.png")
