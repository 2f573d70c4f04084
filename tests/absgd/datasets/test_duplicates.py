"""Images that are given more than once, in lists and in folders, in one part and in two."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from absgd.config.sections import DataConfig
from absgd.datasets import duplicates, load_splits, load_test, read_part
from absgd.datasets.duplicates import check_given_once, content_keys, listed_identities, repeated
from absgd.datasets.image_files import ImageFiles, encoded
from absgd.errors import UserError
from tests.contracts.datasets import dataset_config
from tests.support.small_files import LIST_NAMES, write_clothing1m, write_imagefolder, write_listed, write_tiny_imagenet

pytestmark = pytest.mark.filterwarnings("ignore:.*names .* of the .* classes")


def data(name: Any, root: Path, **values: Any) -> DataConfig:
    return DataConfig(name=name, root=str(root), workers=0, **values)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return write_listed(tmp_path, "imagenet_lt", 3, 4)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return write_imagefolder(tmp_path, 3, 4)


def train_lines(root: Path) -> list[str]:
    return (root / "ImageNet_LT_train.txt").read_text().splitlines()


def add_line(root: Path, line: str, part: str = "train") -> None:
    path = root / LIST_NAMES["imagenet_lt"][part]
    path.write_text(f"{path.read_text()}{line}\n")


def relabelled(line: str) -> str:
    path, label = line.rsplit(" ", 1)
    return f"{path} {(int(label) + 1) % 3}"


# Lists.


def test_image_listed_twice_is_refused_with_both_lines(listed: Path) -> None:
    first = train_lines(listed)[1]
    add_line(listed, first)
    path, label = first.rsplit(" ", 1)
    with pytest.raises(UserError) as caught:
        load_splits(dataset_config("imagenet_lt", listed))
    named = [f"{listed}/{path} (named at {listed}/ImageNet_LT_train.txt:{line}), class {label}" for line in (2, 13)]
    assert str(caught.value) == (
        f"expected every image once in {listed}/ImageNet_LT_train.txt, got 1 image given again: first {named[0]}, "
        f"then {named[1]}; `data.on_duplicate: keep` takes them as they are (data.on_duplicate)"
    )


def test_images_listed_with_two_labels_are_counted_and_named_first(listed: Path) -> None:
    lines = train_lines(listed)
    add_line(listed, lines[0])
    add_line(listed, relabelled(lines[3]))
    message = r"got 2 images given again, 1 with two labels: first .*train\.txt:4\), class . *, then .*:14\), class "
    with pytest.raises(UserError, match=message):
        read_part(data("imagenet_lt", listed), "train")


@pytest.mark.parametrize("spelling", ["./{}", "images/../{}", "images//{}", "linked/{}"])
def test_another_spelling_of_a_path_is_the_same_image(
    listed: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("absgd.datasets.on_disk.COMPARED_IN_LISTS", 0)
    (listed / "linked").symlink_to("images")
    line = train_lines(listed)[0]
    inner = line.removeprefix("images/") if spelling.startswith(("images//", "linked")) else line
    add_line(listed, spelling.format(inner))
    with pytest.raises(UserError, match="got 1 image given again"):
        read_part(data("imagenet_lt", listed), "train")


def test_equal_file_under_another_name_is_the_same_image(listed: Path) -> None:
    path, label = train_lines(listed)[0].rsplit(" ", 1)
    shutil.copy(listed / path, listed / "images" / "copy.jpg")
    add_line(listed, f"images/copy.jpg {(int(label) + 1) % 3}")
    with pytest.raises(UserError, match=r"1 image given again, 1 with two labels: .*images/copy\.jpg"):
        read_part(data("imagenet_lt", listed), "train")


def test_equal_files_are_not_looked_for_in_long_lists(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("absgd.datasets.on_disk.COMPARED_IN_LISTS", 12)
    path, label = train_lines(listed)[0].rsplit(" ", 1)
    shutil.copy(listed / path, listed / "images" / "copy.jpg")
    add_line(listed, f"images/copy.jpg {label}")
    assert len(read_part(data("imagenet_lt", listed), "train")) == 13


def test_kept_duplicates_are_counted_once_and_trained_on(listed: Path) -> None:
    line = train_lines(listed)[1]
    add_line(listed, line)
    add_line(listed, relabelled(line))
    with pytest.warns(UserWarning, match="given again") as caught:
        images = read_part(data("imagenet_lt", listed, on_duplicate="keep"), "train")
    assert len(images) == 14
    told = [str(one.message) for one in caught if "given again" in str(one.message)]
    expected = f"{listed}/ImageNet_LT_train.txt: kept 2 images given again, 1 with two labels (data.on_duplicate)"
    assert told == [expected]


@pytest.mark.parametrize("part", ["val", "test"])
def test_training_image_in_another_list_is_refused(listed: Path, part: str) -> None:
    add_line(listed, f"./{train_lines(listed)[0]}", part)
    config = dataset_config("imagenet_lt", listed, **{"data.validation": "own"})
    read = load_splits if part == "val" else load_test
    message = rf"got 1 image of .*ImageNet_LT_train\.txt in .*_{part}\.txt: first {listed}/images/.*_{part}\.txt:7\)"
    with pytest.raises(UserError, match=message):
        read(config)
    with pytest.warns(UserWarning, match=r"kept 1 image of .*ImageNet_LT_train\.txt in"):
        read(config.with_values({"data.on_duplicate": "keep"}))


def first_of(folder: Path) -> Path:
    return min(folder.iterdir())


def hard_link(source: Path, path: Path) -> None:
    path.hardlink_to(source)


def shared_store(source: Path, path: Path) -> None:
    """Replace an image by a link to a file in a store, and link to that file from `path` too."""
    store = Path(f"{os.path.commonpath([source, path])}-store")
    store.mkdir()
    source.rename(store / "0123")
    source.symlink_to(store / "0123")
    path.symlink_to(store / "0123")


WAYS = pytest.mark.parametrize("way", [shutil.copyfile, hard_link, shared_store])
"""Ways to put a training image into another part."""


@WAYS
@pytest.mark.parametrize("part", ["val", "test"])
def test_training_image_under_another_name_in_another_list_is_refused(
    listed: Path, part: str, way: Callable[[Path, Path], None]
) -> None:
    path, label = train_lines(listed)[0].rsplit(" ", 1)
    way(listed / path, listed / "images" / "other.jpg")
    add_line(listed, f"images/other.jpg {label}", part)
    message = r"got 1 image of .*ImageNet_LT_train\.txt in .*: first .*/images/other\.jpg"
    with pytest.raises(UserError, match=message):
        read_part(data("imagenet_lt", listed), part)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=r"kept 1 image of .*ImageNet_LT_train\.txt in"):
        assert len(read_part(data("imagenet_lt", listed, on_duplicate="keep"), part)) == 7  # type: ignore[arg-type]


def test_equal_training_images_are_not_looked_for_from_long_lists(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("absgd.datasets.on_disk.COMPARED_IN_LISTS", 11)
    path, label = train_lines(listed)[0].rsplit(" ", 1)
    shutil.copy(listed / path, listed / "images" / "other.jpg")
    add_line(listed, f"images/other.jpg {label}", "test")
    assert len(read_part(data("imagenet_lt", listed), "test")) == 7


def test_training_image_that_is_missing_is_equal_to_none(listed: Path) -> None:
    (listed / train_lines(listed)[0].rsplit(" ", 1)[0]).unlink()
    assert len(read_part(data("imagenet_lt", listed), "test")) == 6


def test_clothing1m_key_with_two_labels_is_a_bad_line(tmp_path: Path) -> None:
    root = write_clothing1m(tmp_path, 2, published=True)
    labels = root / "annotations" / "noisy_label_kv.txt"
    path, label = labels.read_text().splitlines()[0].rsplit(" ", 1)
    labels.write_text(f"{labels.read_text()}{path} {(int(label) + 1) % 14}\n")
    with pytest.raises(UserError, match=rf"expected a path with one label in the list of labels, got '{path}'"):
        read_part(data("clothing1m", root), "train")


# Folders.


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_equal_files_in_folders_are_refused_in_every_part(folders: Path, part: str) -> None:
    source = folders / part / "class_0" / "image_0.png"
    if not source.exists():
        source = next((folders / part / "class_0").iterdir())
    shutil.copy(source, folders / part / "class_1" / "copy.png")
    message = rf"1 image given again, 1 with two labels: first {source}, class 0, then .*class_1/copy\.png, class 1"
    with pytest.raises(UserError, match=message):
        read_part(data("imagefolder", folders), part)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="kept 1 image given again, 1 with two labels"):
        read_part(data("imagefolder", folders, on_duplicate="keep"), part)  # type: ignore[arg-type]


def test_two_classes_that_lead_to_one_folder_are_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("absgd.datasets.in_folders.COMPARED_IN_FOLDERS", 0)
    (folders / "train" / "class_3").symlink_to("class_1")
    with pytest.raises(UserError, match="got 4 images given again, 4 with two labels"):
        read_part(data("imagefolder", folders), "train")


def test_links_into_another_part_are_refused(folders: Path) -> None:
    (folders / "test" / "class_0" / "more").symlink_to(folders / "train" / "class_0")
    with pytest.raises(UserError, match=rf"got 4 images of {folders}/train or {folders}/val in {folders}/test: first"):
        load_test(dataset_config("imagefolder", folders))


@WAYS
@pytest.mark.parametrize("part", ["val", "test"])
def test_training_image_in_another_folder_is_refused(
    folders: Path, part: str, way: Callable[[Path, Path], None]
) -> None:
    way(first_of(folders / "train" / "class_0"), folders / part / "class_1" / "other.png")
    with pytest.raises(UserError, match=rf"got 1 image of {folders}/train or .* in {folders}/{part}: first .*other"):
        read_part(data("imagefolder", folders), part)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=rf"kept 1 image of {folders}/train or .* in {folders}/{part}"):
        assert len(read_part(data("imagefolder", folders, on_duplicate="keep"), part)) == 7  # type: ignore[arg-type]


def test_links_to_one_file_from_two_parts_are_refused_however_many_images_there_are(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("absgd.datasets.in_folders.COMPARED_IN_FOLDERS", 0)
    shared_store(first_of(folders / "train" / "class_0"), folders / "test" / "class_0" / "other.png")
    with pytest.raises(UserError, match="got 1 image of"):
        read_part(data("imagefolder", folders), "test")


def test_own_validation_image_in_the_test_set_is_refused(folders: Path) -> None:
    shutil.copy(first_of(folders / "val" / "class_0"), folders / "test" / "class_0" / "other.png")
    with pytest.raises(UserError, match="got 1 image of"):
        read_part(data("imagefolder", folders, validation="own"), "test")
    assert len(read_part(data("imagefolder", folders), "test")) == 7


@WAYS
def test_tiny_imagenet_training_image_in_its_validation_folder_is_refused(
    tmp_path: Path, way: Callable[[Path, Path], None]
) -> None:
    root = write_tiny_imagenet(tmp_path, 3, 2) / "tiny-imagenet-200"
    changed = root / "val" / "images" / "val_0.JPEG"
    changed.unlink()
    way(next((root / "train").rglob("*_0.JPEG")), changed)
    with pytest.raises(UserError, match=rf"got 1 image of {root}/train in .*: first {changed}"):
        load_test(dataset_config("tiny_imagenet", tmp_path))


def test_tiny_imagenet_image_annotated_twice_is_refused(tmp_path: Path) -> None:
    root = write_tiny_imagenet(tmp_path, 3, 2)
    annotations = root / "tiny-imagenet-200" / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text() + annotations.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="got 1 image given again"):
        load_test(dataset_config("tiny_imagenet", root))


def test_setting_changes_neither_splits_nor_keys_of_data_without_duplicates(folders: Path) -> None:
    refusing = dataset_config("imagefolder", folders, **{"data.on_duplicate": "refuse"})
    keeping = refusing.with_values({"data.on_duplicate": "keep"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_splits(refusing).hash == load_splits(keeping).hash
    assert refusing.stage_one_key() == keeping.stage_one_key()
    assert "on_duplicate" not in str(refusing.decisive())


# The parts.


def written(root: Path, contents: dict[str, bytes]) -> ImageFiles:
    for name, content in contents.items():
        (root / name).write_bytes(content)
    zeros_N = np.zeros(len(contents), dtype=np.int64)
    return ImageFiles(root, encoded(list(contents)), zeros_N, zeros_N, root, 1)


def test_keys_are_equal_for_equal_content_alone(tmp_path: Path) -> None:
    head = b"x" * duplicates.HEAD_BYTES
    contents = {"a": head + b"1", "b": head + b"2", "c": head + b"1", "d": head + b"11", "e": b"1", "f": b"1"}
    images = written(tmp_path, contents)
    assert content_keys(images, list(contents)) == ["a", "b", "a", "d", "e", "e"]


def test_files_of_different_size_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(duplicates, "open_regular", refuse)
    assert content_keys(written(tmp_path, {"a": b"1", "b": b"22"}), ["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("EACCES", "a file that may not be read, permission denied"), ("EIO", r"cannot read .*a: Input/output error")],
)
def test_file_that_cannot_be_compared_is_an_error(
    tmp_path: Path, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        number = getattr(__import__("errno"), code)
        raise OSError(number, os.strerror(number))

    images = written(tmp_path, {"a": b"1", "b": b"1"})
    monkeypatch.setattr(duplicates, "open_regular", fail)
    with pytest.raises(UserError, match=reason):
        check_given_once(images, ["a", "b"], "keep", 10)


def test_repeated_counts_each_further_image() -> None:
    assert repeated(["a", "b"], [0, 0]) is None
    assert repeated(["a", "a", "a"], [0, 0, 1]) == (2, 1, (2, 0))


def test_listed_identities_are_absolute(tmp_path: Path) -> None:
    real = os.path.realpath(tmp_path)
    assert listed_identities(tmp_path, ["b.png", "./b.png", "a/../b.png"])[:2] == [f"{real}/b.png"] * 2
