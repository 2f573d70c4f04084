"""The checks before training: missing, broken and forbidden images, folders and file systems that fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from absgd.datasets.image_files import ImageFiles, encoded
from absgd.datasets.image_reading import BrokenImage, ReadFailed, check_decodes
from absgd.datasets.usable_images import usable_images
from absgd.errors import UserError

PIXELS_HWC = np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8)
either_way = pytest.mark.parametrize("on_bad_image", ["error", "skip"])


def files(root: Path, paths: list[str]) -> ImageFiles:
    none_N = np.zeros(len(paths), dtype=np.int64)
    return ImageFiles(root, encoded(paths), np.arange(len(paths)), none_N, root / "list.txt", len(paths))


def written(root: Path, count: int) -> list[str]:
    names = [f"{number}.png" for number in range(count)]
    for name in names:
        Image.fromarray(PIXELS_HWC).save(root / name)
    return names


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_skip_keeps_decodable_images_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    names = written(tmp_path, 7)
    (tmp_path / "1.png").unlink()
    (tmp_path / "6.png").write_text("no image")
    with pytest.warns(UserWarning, match="left out 1 missing image, 1 broken image; 5 images remain"):
        kept = usable_images(files(tmp_path, names), [], "skip", workers)
    assert kept.labels_N.tolist() == [0, 2, 3, 4, 5]


def test_skip_counts_every_kind_of_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = written(tmp_path, 7)
    for number in (1, 2):
        (tmp_path / f"{number}.png").unlink()
        os.mkfifo(tmp_path / f"{number}.png")
    for number in (3, 4):
        Image.fromarray(PIXELS_HWC[..., 0].astype(np.float32) * 1000).save(tmp_path / f"{number}.png", "TIFF")

    def decodes(path: Path) -> None:
        if path.name == "5.png":
            raise BrokenImage("permission denied", "image that may not be read")
        check_decodes(path)

    monkeypatch.setattr("absgd.datasets.usable_images.check_decodes", decodes)
    with pytest.warns(UserWarning, match="2 broken images, 2 images that 8 bits cannot hold, 1 image that may not be"):
        assert usable_images(files(tmp_path, names), [], "skip", 2).labels_N.tolist() == [0, 6]


def test_skip_ends_where_the_file_system_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(path: Path) -> None:
        if path.name == "2.png":
            raise ReadFailed("Stale file handle")

    monkeypatch.setattr("absgd.datasets.usable_images.check_decodes", lost)
    with pytest.raises(UserError, match=rf"cannot read {tmp_path}/2\.png: Stale file handle \(data\.root\)"):
        usable_images(files(tmp_path, written(tmp_path, 4)), [], "skip", 2)


def test_error_finds_missing_files_and_leaves_broken_ones_to_training(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no image")
    assert len(usable_images(files(tmp_path, ["broken.jpg"]), [], "error", 0)) == 1
    with pytest.raises(UserError, match=rf"got no file: {tmp_path}/inner/gone\.jpg; `data\.on_bad_image: skip`"):
        usable_images(files(tmp_path, ["broken.jpg", "inner/gone.jpg"]), [], "error", 0)


def test_entry_known_to_be_missing_counts_as_missing(tmp_path: Path) -> None:
    names = written(tmp_path, 3)
    with pytest.raises(UserError, match=rf"got no file: {tmp_path}/1\.png"):
        usable_images(files(tmp_path, names), [], "error", 0, missing=[1])
    with pytest.warns(UserWarning, match="left out 1 missing image; 2 images remain"):
        assert usable_images(files(tmp_path, names), [], "skip", 0, missing=[1]).labels_N.tolist() == [0, 2]


@either_way
def test_no_image_at_all_is_refused(tmp_path: Path, on_bad_image: Any) -> None:
    with pytest.raises(UserError, match=r"expected images in .*list\.txt, got none \(data\.root\)"):
        usable_images(files(tmp_path, []), [], on_bad_image, 0)


@either_way
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, on_bad_image: Any, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: bytes) -> list[bytes]:
        raise OSError(code, os.strerror(code), folder)

    monkeypatch.setattr(os, "listdir", fail)
    with pytest.raises(UserError, match=rf"cannot list {tmp_path}/inner: {os.strerror(code)} \(data\.root\)"):
        usable_images(files(tmp_path, ["inner/1.jpg"]), [], on_bad_image, 0)


@either_way
def test_folder_that_cannot_be_entered_is_an_error(
    tmp_path: Path, on_bad_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = written(tmp_path, 2)
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.X_OK)
    with pytest.raises(UserError, match=rf"cannot open the files in {tmp_path}: Permission denied \(data\.root\)"):
        usable_images(files(tmp_path, names), [], on_bad_image, 0)
