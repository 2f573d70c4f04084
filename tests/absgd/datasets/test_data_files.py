"""Data files: found, read whole, named when damaged."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from absgd.datasets.data_files import check_labels, check_side, locate, read_idx
from absgd.errors import UserError
from tests.support.small_files import idx_bytes

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_read_idx_gives_the_array_written(tmp_path: Path, pack: Any) -> None:
    array = read_idx(written(tmp_path / "images", pack(idx_bytes(ARRAY))), 3)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, ARRAY)


DAMAGED_IDX = {
    "empty": (b"", "expected an idx file of unsigned bytes in 3 dimensions"),
    "text": (b"<html>not found</html>", "expected an idx file"),
    "other dimensions": (idx_bytes(ARRAY[0]), "expected an idx file"),
    "other type": (b"\x00\x00\x0d\x03" + idx_bytes(ARRAY)[4:], "expected an idx file"),
    "cut header": (idx_bytes(ARRAY)[:10], "expected an idx file"),
    "cut content": (idx_bytes(ARRAY)[:-1], r"expected 24 bytes for shape \(2, 3, 4\), got 23"),
    "more content": (idx_bytes(ARRAY) + b"x", "got 25"),
    "cut gz": (gzip.compress(idx_bytes(ARRAY))[:-9], "expected a whole gzip file"),
    "gz header alone": (gzip.compress(b"")[:3], "expected a whole gzip file"),
    "gz checksum": (gzip.compress(idx_bytes(ARRAY))[:-8] + bytes(8), "expected a whole gzip file"),
    "gz content": (gzip.compress(idx_bytes(ARRAY))[:10] + b"\xff" * 20, "expected a whole gzip file"),
    "gz of a cut file": (gzip.compress(idx_bytes(ARRAY)[:-1]), "got 23"),
}


@pytest.mark.parametrize("name", DAMAGED_IDX)
def test_read_idx_names_a_damaged_file(tmp_path: Path, name: str) -> None:
    content, message = DAMAGED_IDX[name]
    path = written(tmp_path / "train-images", content)
    with pytest.raises(UserError, match=rf"train-images is damaged: .*{message}.*\(data\.root\)"):
        read_idx(path, 3)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"cannot read {tmp_path}: .*\(data\.root\)"):
        read_idx(tmp_path, 3)


@pytest.mark.parametrize(
    ("labels", "num_images", "message"),
    [
        ([0, 1], 3, "expected 3 labels, one for each image, got 2"),
        ([0, 10, 11], 3, "expected labels from 0 to 9, got 10 at 1"),
        ([0, 9, -1], 3, "expected labels from 0 to 9, got -1 at 2"),
    ],
)
def test_check_labels_names_the_first_wrong_one(labels: list[int], num_images: int, message: str) -> None:
    with pytest.raises(UserError, match=f"some/file is damaged: {message}"):
        check_labels(Path("some/file"), np.array(labels), num_images, 10)


def test_check_side_names_the_size() -> None:
    check_side(Path("some/file"), (5, 28, 28), 28)
    with pytest.raises(UserError, match="expected images of 28 x 28 pixels, got 28 x 27"):
        check_side(Path("some/file"), (5, 28, 27), 28)


def test_locate_takes_the_first_folder_that_has_all(tmp_path: Path) -> None:
    for name in ("one/a", "two/a.gz", "two/b", "three/a", "three/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folders = [tmp_path / name for name in ("absent", "one", "two", "three")]
    assert locate(folders, ["a", "b"], ("", ".gz")) == [tmp_path / "two/a.gz", tmp_path / "two/b"]
    assert locate(folders, ["a", "b"]) == [tmp_path / "three/a", tmp_path / "three/b"]
    assert locate(folders, ["a", "c"]) is None
