"""ImageFiles: selecting and reading images, and broken files of every kind."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from absgd.datasets.image_files import BrokenImage, ImageFiles, check_decodes, checked, encoded, read_rgb
from absgd.errors import UserError

PIXELS_HWC = np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8)


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


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_read_rgb_converts_any_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS_HWC).convert(mode).save(path)
    image = read_rgb(path)
    assert (image.mode, image.size) == ("RGB", (30, 40))
    if mode == "RGB":
        np.testing.assert_array_equal(np.asarray(image), PIXELS_HWC)


def missing(path: Path) -> str:
    return "no file"


def empty(path: Path) -> str:
    path.touch()
    return "a file that is not an image"


def text(path: Path) -> str:
    path.write_text("not an image")
    return "a file that is not an image"


def folder(path: Path) -> str:
    path.mkdir()
    return "cannot be decoded"


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


@pytest.mark.parametrize("damage", [missing, empty, text, folder, cut_jpeg, cut_png, wrong_png])
@pytest.mark.parametrize("read", [read_rgb, check_decodes])
def test_broken_image_says_why(tmp_path: Path, damage: Callable[[Path], str], read: Callable[[Path], object]) -> None:
    path = tmp_path / "image.jpg"
    reason = damage(path)
    with pytest.raises(BrokenImage, match=reason):
        read(path)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_skip_keeps_decodable_images_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    names = [f"{number}.jpg" for number in range(7)]
    for name in names:
        Image.fromarray(PIXELS_HWC).save(tmp_path / name)
    (tmp_path / "1.jpg").unlink()
    (tmp_path / "6.jpg").write_text("no image")
    with pytest.warns(UserWarning, match="left out 1 missing image, 1 broken image; 5 images remain"):
        kept = checked(files(tmp_path, names), [], "skip", workers)
    assert kept.labels_N.tolist() == [0, 2, 3, 4, 5]


def test_error_finds_missing_files_and_leaves_broken_ones_to_training(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no image")
    assert len(checked(files(tmp_path, ["broken.jpg"]), [], "error", 0)) == 1
    with pytest.raises(UserError, match=rf"got no file: {tmp_path}/inner/gone\.jpg; `data\.on_bad_image: skip`"):
        checked(files(tmp_path, ["broken.jpg", "inner/gone.jpg"]), [], "error", 0)


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_no_image_at_all_is_refused(tmp_path: Path, on_bad_image: str) -> None:
    with pytest.raises(UserError, match=r"expected images in .*list\.txt, got none \(data\.root\)"):
        checked(files(tmp_path, []), [], on_bad_image, 0)  # type: ignore[arg-type]
