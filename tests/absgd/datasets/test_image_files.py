"""ImageFiles: selecting images, their memory, and how messages name them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from absgd.datasets.image_files import ImageFiles, encoded


def files(root: Path, paths: list[str], line: int = 0) -> ImageFiles:
    count = len(paths)
    lines_N = np.arange(line, line + count) if line else np.zeros(count, dtype=np.int64)
    return ImageFiles(root, encoded(paths), np.arange(count), lines_N, root / "list.txt", count)


def test_take_keeps_the_order_asked_for_and_replaces_labels(tmp_path: Path) -> None:
    images = files(tmp_path, ["a.jpg", "häß lich.jpg", "c.jpg"], line=1)
    taken = images.take(np.array([2, 1]), np.array([7, 8]))
    assert [taken.path(0), taken.path(1)] == [tmp_path / "c.jpg", tmp_path / "häß lich.jpg"]
    assert (taken.labels_N.tolist(), taken.lines_N.tolist(), len(taken)) == ([7, 8], [3, 2], 2)
    assert images.take(np.array([1])).labels_N.tolist() == [1]


def test_pickle_is_smaller_than_one_object_for_each_path(tmp_path: Path) -> None:
    paths = [f"train/class_{number % 10}/image_{number:06d}.jpg" for number in range(10_000)]
    assert len(pickle.dumps(files(tmp_path, paths))) < 10_000 * (max(map(len, paths)) + 17) + 1000


def test_error_names_file_and_line_and_escapes_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    images = files(tmp_path, ["caf\udce9.png"], line=4)
    assert str(images.error_at(0, "no file")) == (
        f"expected an image, got no file: {tmp_path}/caf\\xe9.png (named at {tmp_path}/list.txt:4); "
        "`data.on_bad_image: skip` leaves such images out (data.on_bad_image)"
    )
    assert str(files(tmp_path, ["a.png"]).storage_error_at(0, "Stale file handle")) == (
        f"cannot read {tmp_path}/a.png: Stale file handle (data.root)"
    )
