"""The fingerprint: different for different data, equal for equal data in any folder."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from absgd.config import RunConfig
from absgd.datasets import ImageFiles, Images, Splits, fingerprint, load_splits
from absgd.errors import UserError
from tests.contracts.datasets import dataset_config
from tests.support.small_files import write_fashion_mnist, write_imagefolder

pytestmark = pytest.mark.filterwarnings("ignore:.*does not hold the published")
PARTS = ["train", "val"]


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_splits(dataset_config("digits"))


@pytest.fixture
def config() -> RunConfig:
    return dataset_config("digits")


@pytest.fixture
def on_disk(tmp_path: Path) -> RunConfig:
    """Images on disk, three classes of six."""
    return dataset_config("imagefolder", write_imagefolder(tmp_path / "own", 3, 6), **{"data.side": 16})


def with_part(splits: Splits, part: str, images: Images | ImageFiles) -> Splits:
    return dataclasses.replace(splits, **{part: images})  # type: ignore[arg-type]


def test_fingerprint_is_64_hex_digits(digits: Splits) -> None:
    assert len(bytes.fromhex(fingerprint(digits))) == 32


def test_fingerprint_ignores_settings_that_do_not_change_data(config: RunConfig, digits: Splits) -> None:
    other = config.with_values({"seeds.train": 4, "optimizer.lr": 0.3, "epochs": 7, "data.workers": 1})
    assert fingerprint(load_splits(other)) == fingerprint(digits)


def test_fingerprint_follows_the_split(config: RunConfig, digits: Splits) -> None:
    for values in ({"seeds.data": 1}, {"data.val_per_class": 4}, {"noise.type": "symmetric", "noise.rate": 0.1}):
        other = config.with_values(values)
        assert fingerprint(load_splits(other)) != fingerprint(digits)
    assert fingerprint(dataclasses.replace(digits, hash="0" * 64)) != fingerprint(digits)
    changed_N = digits.changed_N.copy()
    changed_N[-1] = True
    assert fingerprint(dataclasses.replace(digits, changed_N=changed_N)) != fingerprint(digits)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("position", [0, -1])
def test_fingerprint_follows_one_value_of_one_pixel(
    config: RunConfig, digits: Splits, part: str, position: int
) -> None:
    images = getattr(digits, part)
    pixels_NCHW = images.images_NCHW.copy()
    pixels_NCHW[position, 0, 3, 3] ^= 1
    other = with_part(digits, part, dataclasses.replace(images, images_NCHW=pixels_NCHW))
    assert fingerprint(other) != fingerprint(digits)


@pytest.mark.parametrize("part", PARTS)
def test_fingerprint_follows_one_label_even_where_the_split_hash_does_not(
    config: RunConfig, digits: Splits, part: str
) -> None:
    images = getattr(digits, part)
    labels_N = images.labels_N.copy()
    labels_N[-1] = (labels_N[-1] + 1) % 10
    other = with_part(digits, part, dataclasses.replace(images, labels_N=labels_N))
    assert fingerprint(other) != fingerprint(digits)


def test_fingerprint_follows_the_shape(config: RunConfig, digits: Splits) -> None:
    images: Any = digits.train
    flat = dataclasses.replace(images, images_NCHW=images.images_NCHW.reshape(len(images), 1, 4, 16))
    assert fingerprint(with_part(digits, "train", flat)) != fingerprint(digits)


def test_fingerprint_follows_the_order(config: RunConfig, digits: Splits) -> None:
    images = digits.train
    other = with_part(digits, "train", images.take(np.arange(len(images))[::-1]))
    assert fingerprint(other) != fingerprint(digits)


def test_fingerprint_of_images_in_memory_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    packed, plain = (
        dataset_config("fashion_mnist", write_fashion_mnist(tmp_path / name, per_class=5, gz=gz))
        for name, gz in (("packed", True), ("plain", False))
    )
    assert fingerprint(load_splits(packed)) == fingerprint(load_splits(plain))


def test_fingerprint_accepts_read_only_arrays(config: RunConfig, digits: Splits) -> None:
    images: Any = digits.train
    frozen = images.take(np.arange(len(images)))
    frozen.images_NCHW.flags.writeable = frozen.labels_N.flags.writeable = False
    assert fingerprint(with_part(digits, "train", frozen)) == fingerprint(digits)


def test_fingerprint_does_not_copy_the_images(config: RunConfig, digits: Splits) -> None:
    images = Images(np.zeros((20_000, 1, 28, 28), dtype=np.uint8), np.zeros(20_000, dtype=np.int64))
    splits = dataclasses.replace(digits, train=images, changed_N=np.zeros(20_000, dtype=np.bool_))
    tracemalloc.start()
    try:
        fingerprint(splits)
        assert tracemalloc.get_traced_memory()[1] < images.labels_N.nbytes
    finally:
        tracemalloc.stop()


def test_fingerprint_follows_the_content_of_the_weights_and_not_their_path(tmp_path: Path, digits: Splits) -> None:
    (tmp_path / "first.pth").write_bytes(bytes(3000))
    (tmp_path / "copy.pth").write_bytes(bytes(3000))
    (tmp_path / "other.pth").write_bytes(bytes(2999) + b"\1")
    first, copy, other = (fingerprint(digits, str(tmp_path / name)) for name in ("first.pth", "copy.pth", "other.pth"))
    assert first == copy
    assert len({first, other, fingerprint(digits)}) == 3


def test_fingerprint_of_weights_in_the_home_folder(
    tmp_path: Path, digits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w.pth").write_bytes(b"weights")
    assert fingerprint(digits, "~/w.pth") == fingerprint(digits, str(tmp_path / "w.pth"))


def test_fingerprint_names_weights_that_cannot_be_read(tmp_path: Path, digits: Splits) -> None:
    with pytest.raises(UserError, match=r"cannot read the weights: No such file .*absent.pth: model.weights\)"):
        fingerprint(digits, str(tmp_path / "absent.pth"))
    with pytest.raises(UserError, match="cannot read the weights: Is a directory"):
        fingerprint(digits, str(tmp_path))


def test_fingerprint_of_files_left_alone_is_the_same_under_another_name_of_their_folder(
    on_disk: RunConfig, tmp_path: Path
) -> None:
    first = fingerprint(load_splits(on_disk))
    Path(str(on_disk.data.root)).rename(tmp_path / "moved")
    moved = on_disk.with_values({"data.root": str(tmp_path / "moved")})
    assert fingerprint(load_splits(moved)) == first


@pytest.mark.parametrize("part", PARTS)
def test_fingerprint_follows_a_touched_file_and_one_of_another_size(on_disk: RunConfig, part: str) -> None:
    splits = load_splits(on_disk)
    first = fingerprint(splits)
    path = getattr(splits, part).path(1)
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
    assert fingerprint(splits) != first
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint(splits) != first


def test_fingerprint_of_a_copy_is_another_unless_it_keeps_the_times(on_disk: RunConfig, tmp_path: Path) -> None:
    first = fingerprint(load_splits(on_disk))
    for name, copy in (("kept", shutil.copy2), ("new", shutil.copyfile)):
        shutil.copytree(str(on_disk.data.root), tmp_path / name, copy_function=copy)
        config = on_disk.with_values({"data.root": str(tmp_path / name)})
        assert (fingerprint(load_splits(config)) == first) == (name == "kept")


def test_fingerprint_follows_paths_and_order_of_files(on_disk: RunConfig) -> None:
    splits = load_splits(on_disk)
    first = fingerprint(splits)
    images: Any = splits.train
    swapped = images.take(np.array([1, 0, *range(2, len(images))]), images.labels_N)
    assert fingerprint(with_part(splits, "train", swapped)) != first
    assert fingerprint(with_part(splits, "train", splits.val)) != first


def test_fingerprint_ignores_files_outside_the_splits(on_disk: RunConfig) -> None:
    config = on_disk.with_values({"data.n_max": 2})
    splits = load_splits(config)
    first = fingerprint(splits)
    used = {images.path(position) for images in (splits.train, splits.val) for position in range(len(images))}  # type: ignore[union-attr]
    unused = [path for path in Path(str(config.data.root)).rglob("*.*") if path not in used]
    assert unused
    for path in unused:
        os.utime(path, ns=(1, 1))
    assert fingerprint(splits) == first


def test_fingerprint_asks_about_all_files_of_many_chunks(on_disk: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = load_splits(on_disk)
    whole = fingerprint(splits)
    monkeypatch.setattr(sys.modules["absgd.datasets.fingerprint"], "CHUNK", 2)
    assert fingerprint(splits) == whole


def test_fingerprint_names_a_missing_image(on_disk: RunConfig) -> None:
    splits = load_splits(on_disk)
    images: Any = splits.val
    images.path(2).unlink()
    with pytest.raises(UserError, match=rf"gone, No such file or directory: {images.path(2)}.*data.on_bad_image"):
        fingerprint(splits)
