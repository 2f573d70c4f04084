"""Finding, reading and checking data files, idx files among them; a damaged file is a UserError that names it.

Shape legend: N images.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import math
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from absgd.config.locations import DEFAULT_ROOT
from absgd.config.sections import DataConfig
from absgd.datasets.images import Labels, Pixels
from absgd.errors import UserError
from absgd.paths import expanded, is_absent, open_regular

STAT_THREADS = 8
"""Threads that ask the file system; they wait for it, not for a processor."""
_GZIP_MAGIC = b"\x1f\x8b"
_IDX_UINT8 = 8


def data_root(config: DataConfig) -> Path:
    """The folder with the data sets: `data.root`, else `data` in the current folder."""
    return Path(DEFAULT_ROOT) if config.root is None else expanded(config.root, "data.root")


def locate(folders: Iterable[Path], names: Sequence[str], suffixes: Sequence[str] = ("",)) -> list[Path] | None:
    """Find files by name, each with one of the suffixes, in the first folder that has all of them; None if none has."""
    for folder in folders:
        found = [_first_file(folder / f"{name}{suffix}" for suffix in suffixes) for name in names]
        if None not in found:
            return [path for path in found if path is not None]
    return None


def needed_files(
    root: Path, inner_folders: Sequence[str], alternatives: Sequence[tuple[str, ...]], name: str
) -> list[Path]:
    """Return the files of the first of the alternatives that are found together in `root` or a folder inside it.

    Args:
        root: `data.root`.
        inner_folders: folders inside it.
        alternatives: names of files that belong together.
        name: of the data set, for the message.

    Raises:
        UserError: if none is found.
    """
    folders = [root, *(root / inner for inner in inner_folders)]
    for names in alternatives:
        if found := locate(folders, names):
            return found
    wanted = ", or ".join(" and ".join(names) for names in alternatives)
    raise UserError(
        f"expected {wanted} in {' or '.join(map(str, folders))}, found none: give the folder of {name} as "
        "`data.root`; it cannot be downloaded here (data.root)"
    )


def read_idx(path: Path, num_dims: int) -> Pixels:
    """The array in an idx file of unsigned bytes, gzipped or not.

    Args:
        path: the file.
        num_dims: number of dimensions it must have: 3 for images, 1 for labels.

    Returns:
        A read-only uint8 array.

    Raises:
        UserError: if the file cannot be read or is not such an array, whole.

    Source: the idx format of the MNIST database; big-endian sizes.
    """
    content = _unzipped(path, read_bytes(path))
    magic, header = bytes((0, 0, _IDX_UINT8, num_dims)), 4 * (1 + num_dims)
    if content[:4] != magic or len(content) < header:
        raise damaged(path, f"expected an idx file of unsigned bytes in {num_dims} dimensions, got other content")
    shape = struct.unpack_from(f">{num_dims}I", content, 4)
    if len(content) - header != math.prod(shape):
        raise damaged(path, f"expected {math.prod(shape)} bytes for shape {shape}, got {len(content) - header}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def check_labels(path: Path, labels_N: Labels, num_images: int, num_classes: int) -> None:
    """Refuse labels that are not one class of the data set for each image.

    Raises:
        UserError: naming the file of the labels.
    """
    if len(labels_N) != num_images:
        raise damaged(path, f"expected {num_images} labels, one for each image, got {len(labels_N)}")
    wrong_N = (labels_N < 0) | (labels_N >= num_classes)
    if wrong_N.any():
        position = int(wrong_N.argmax())
        raise damaged(path, f"expected labels from 0 to {num_classes - 1}, got {labels_N[position]} at {position}")


def check_side(path: Path, shape: tuple[int, ...], side: int) -> None:
    """Refuse images of a shape (..., H, W) other than `side` x `side`.

    Raises:
        UserError: naming the file of the images.
    """
    if shape[-2:] != (side, side):
        raise damaged(path, f"expected images of {side} x {side} pixels, got {shape[-2]} x {shape[-1]}")


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error} (data.root)") from None


def text_of(path: Path) -> str:
    """Read a text file.

    Raises:
        UserError: if it cannot be read, or is not in UTF-8.
    """
    content = read_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise damaged(path, "expected UTF-8 text, got UTF-16")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, f"expected UTF-8 text, got an invalid byte at position {error.start}") from None


def status_of(path: Path) -> os.stat_result | None:
    """Status of a file or folder; None if there is none.

    Raises:
        UserError: if nobody can tell, because a folder may not be entered or the file system fails.
    """
    try:
        return os.stat(path)
    except OSError as error:
        if is_absent(error):
            return None
        raise UserError(f"cannot look for {path}: {error.strerror or error} (data.root)") from None


def check_entered(folder: Path) -> None:
    """Refuse a folder whose files cannot be opened, although it can be listed.

    Raises:
        UserError: naming it.
    """
    if not os.access(folder, os.X_OK):
        raise UserError(f"cannot open the files in {folder}: {os.strerror(errno.EACCES)} (data.root)")


def damaged(path: Path, reason: str) -> UserError:
    """The error for a file with unexpected content."""
    return UserError(f"{path} is damaged: {reason} (data.root)")


def warn_of_download(config: DataConfig, name: str) -> None:
    """Say that `data.download` is not used by a data set that cannot be downloaded."""
    if config.download:
        warnings.warn(f"{name} cannot be downloaded here: `data.download` is not used", stacklevel=1)


def _first_file(paths: Iterable[Path]) -> Path | None:
    """The first path with a file, regular or not: what is not regular is refused when it is read."""
    for path in paths:
        found = status_of(path)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            return path
    return None


def _unzipped(path: Path, content: bytes) -> bytes:
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, f"expected a whole gzip file, got one that cannot be unpacked: {error}") from None
