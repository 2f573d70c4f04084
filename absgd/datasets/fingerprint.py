"""The fingerprint of the data that a run learns from, which decides whether trained state belongs to the same data.

Shape legend: N images of a split, M of a chunk of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from absgd.datasets.data_files import STAT_THREADS
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images
from absgd.datasets.splits import Splits
from absgd.errors import UserError
from absgd.paths import expanded, is_absent, open_regular

CHUNK = 1000
"""Files that a thread asks about at a time."""
VERSION = b"absgd fingerprint 1"
"""Changes with the hashed content, so that fingerprints computed in another way differ."""

NamedBytes = tuple[str, bytes | memoryview]
"""A name and the bytes that are hashed after it."""


def fingerprint(splits: Splits, weights: str | None = None) -> str:
    """sha256 of the data that a run learns from: training and validation images, their labels and initial weights.

    Images in memory count by their values. Images on disk count by relative path, size and modification time in
    nanoseconds; their content is not read. A copy elsewhere therefore has another fingerprint, unless it keeps the
    times: that is safe, since trained state is then not reused. A file rewritten with the same size and time, however,
    passes for unchanged. A file of initial weights counts by its content, whatever its path; `data.root` does not
    count.

    Args:
        splits: from `load_splits`.
        weights: `model.weights`, the file of initial weights; None: there is none.

    Returns:
        64 hex digits, the same in every process and on every machine.

    Raises:
        UserError: if the file of weights cannot be read, or an image on disk is gone.
    """
    digest = hashlib.sha256(VERSION)
    for name, content in _parts(splits, weights):
        digest.update(f"/{name} {len(content)}/".encode())  # no two lists of parts give the same bytes
        digest.update(content)
    return digest.hexdigest()


def _parts(splits: Splits, weights: str | None) -> Iterator[NamedBytes]:
    yield "split", splits.hash.encode()
    yield "changed", _as_bytes(splits.changed_N)
    for name, images in (("train", splits.train), ("val", splits.val)):
        yield f"{name} labels", _as_bytes(images.labels_N)
        yield from _pixels(name, images) if isinstance(images, Images) else _files(name, images)
    if weights is not None:
        yield "weights", _digest_of_file(expanded(weights, "model.weights"))


def _pixels(name: str, images: Images) -> Iterator[NamedBytes]:
    shape = "x".join(map(str, images.images_NCHW.shape))
    yield f"{name} pixels {shape}", _as_bytes(images.images_NCHW)


def _files(name: str, images: ImageFiles) -> Iterator[NamedBytes]:
    yield f"{name} paths", b"\0".join(images.paths_N.tolist())
    yield f"{name} sizes and times", _as_bytes(_sizes_and_times(images))


def _as_bytes(values: npt.NDArray[Any]) -> memoryview:
    """The little-endian bytes of an array, row by row; without a copy if its memory has that layout."""
    return values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).reshape(-1).view(np.uint8).data


def _sizes_and_times(images: ImageFiles) -> npt.NDArray[np.int64]:
    """Size in bytes and modification time in ns of each file, int64 (N, 2).

    Raises:
        UserError: about the first image whose file is gone.
    """
    root = os.fsencode(images.root)

    def of_chunk(start: int) -> npt.NDArray[np.int64]:
        rows_M2 = []
        for position, path in enumerate(images.paths_N[start : start + CHUNK].tolist(), start):
            try:
                found = os.stat(os.path.join(root, path))
            except OSError as error:
                if is_absent(error):
                    raise images.error_at(position, f"a file that is gone, {error.strerror or error}") from None
                raise images.storage_error_at(position, error.strerror or str(error)) from None
            rows_M2.append((found.st_size, found.st_mtime_ns))
        return np.array(rows_M2, dtype=np.int64)

    with ThreadPoolExecutor(STAT_THREADS) as pool:
        chunks = pool.map(of_chunk, range(0, len(images), CHUNK))
        return np.concatenate([np.empty((0, 2), dtype=np.int64), *chunks])


def _digest_of_file(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UserError(f"cannot read the weights: {error.strerror or error} ({path}: model.weights)") from None
