"""The data sets on disk: the contract, the places searched for lists, and messages about wrong lists and folders."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from absgd.config import RunConfig
from absgd.config.sections import DataConfig
from absgd.datasets import DATASETS, ImageFiles, load_splits, load_test, read_part
from absgd.datasets.in_folders import read_imagefolder, read_tiny_imagenet
from absgd.datasets.on_disk import read_clothing1m, read_imagenet_lt, read_inaturalist18
from absgd.errors import UserError
from tests.contracts.datasets import DiskDatasetContract, dataset_config
from tests.support.small_files import (
    LIST_NAMES,
    write_clothing1m,
    write_image,
    write_imagefolder,
    write_listed,
    write_tiny_imagenet,
)
from tests.support.unprivileged import unprivileged_folder

SMALL: dict[str, Any] = {"data.side": 16, "data.workers": 0}
fewer_classes = pytest.mark.filterwarnings("ignore:.*names .* of the .* classes")


class TestImagefolder(DiskDatasetContract):
    entry = "imagefolder"

    @pytest.fixture
    def config(self, tmp_path: Path) -> RunConfig:
        return dataset_config("imagefolder", write_imagefolder(tmp_path / "own", 3, 10), **SMALL)

    @pytest.fixture
    def num_classes(self) -> int:
        return 3


class TestTinyImagenet(DiskDatasetContract):
    entry = "tiny_imagenet"

    @pytest.fixture
    def config(self, tmp_path: Path) -> RunConfig:
        return dataset_config("tiny_imagenet", write_tiny_imagenet(tmp_path / "tiny", 4, 10), **{"data.workers": 0})

    @pytest.fixture
    def num_classes(self) -> int:
        return 4


class TestClothing1M(DiskDatasetContract):
    entry = "clothing1m"

    @pytest.fixture(params=[False, True], ids=["kv", "published"])
    def config(self, request: pytest.FixtureRequest, tmp_path: Path) -> RunConfig:
        root = write_clothing1m(tmp_path / "clothing", 10, published=request.param)
        return dataset_config("clothing1m", root, **SMALL)

    @pytest.fixture
    def num_classes(self) -> int:
        return 14


class _TestListed(DiskDatasetContract):
    @pytest.fixture
    def config(self, tmp_path: Path) -> RunConfig:
        return dataset_config(self.entry, write_listed(tmp_path / "listed", self.entry, 3, 10), **SMALL)

    @pytest.fixture
    def num_classes(self) -> int:
        return 3


class TestImagenetLT(_TestListed):
    entry = "imagenet_lt"


class TestPlacesLT(_TestListed):
    entry = "places_lt"


class TestINaturalist18(_TestListed):
    entry = "inaturalist18"


@pytest.mark.parametrize(
    ("name", "num_classes", "side", "pad", "crop"),
    [
        ("tiny_imagenet", 200, 64, 8, "padded"),
        ("imagenet_lt", 1000, 224, 0, "random_resized"),
        ("places_lt", 365, 224, 0, "random_resized"),
        ("inaturalist18", 8142, 224, 0, "random_resized"),
        ("clothing1m", 14, 224, 0, "resized"),
        ("imagefolder", None, 224, 0, "random_resized"),
    ],
)
def test_table_gives_sizes_and_standard_augmentation(
    name: Any, num_classes: int | None, side: int, pad: int, crop: str
) -> None:
    spec = DATASETS[name]
    assert (spec.num_classes, spec.channels, spec.side) == (num_classes, 3, side)
    assert (spec.pad, spec.flip, spec.crop) == (pad, True, crop)
    clothing = ((0.6959, 0.6537, 0.6371), (0.3113, 0.3192, 0.3214))
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (spec.mean, spec.std) == (clothing if name == "clothing1m" else imagenet)


def data(name: Any, root: Path, **values: Any) -> DataConfig:
    return DataConfig(name=name, root=str(root), workers=0, **values)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return write_listed(tmp_path, "imagenet_lt", 3, 4)


def named(images: ImageFiles) -> list[str]:
    return [path.decode() for path in images.paths_N]


# Lists: their places and their content.


@fewer_classes
def test_list_gives_paths_labels_and_lines_in_its_order(listed: Path) -> None:
    images = read_imagenet_lt(data("imagenet_lt", listed), "train")
    lines = (listed / "ImageNet_LT_train.txt").read_text().splitlines()
    assert [f"{path} {label}" for path, label in zip(named(images), images.labels_N, strict=True)] == lines
    assert images.lines_N.tolist() == list(range(1, 13))
    assert images.path(4) == listed / lines[4].rpartition(" ")[0]


@fewer_classes
@pytest.mark.parametrize("with_images", [False, True])
def test_lists_may_be_in_the_usual_folder_with_or_without_the_images(listed: Path, with_images: bool) -> None:
    folder = listed / "ImageNet_LT"
    folder.mkdir()
    for name in LIST_NAMES["imagenet_lt"].values():
        (listed / name).rename(folder / name)
    if with_images:
        (listed / "images").rename(folder / "images")
    splits = load_splits(dataset_config("imagenet_lt", listed))
    assert splits.class_counts == (1, 1, 1)


def test_fewer_classes_than_published_warn(listed: Path) -> None:
    with pytest.warns(UserWarning, match=r"names 3 of the 1000 classes of ImageNet-LT: the run has 3 classes"):
        assert read_imagenet_lt(data("imagenet_lt", listed), "train").num_classes == 3


@fewer_classes
def test_every_part_has_the_classes_of_training(listed: Path) -> None:
    lines = (listed / "ImageNet_LT_test.txt").read_text().splitlines(keepends=True)
    (listed / "ImageNet_LT_test.txt").write_text("".join(line for line in lines if line.endswith(" 0\n")))
    assert read_imagenet_lt(data("imagenet_lt", listed), "test").num_classes == 3


def test_published_clothing1m_equals_its_key_value_lists(tmp_path: Path) -> None:
    roots = [write_clothing1m(tmp_path / str(published), 2, published=published) for published in (False, True)]
    for part in ("train", "val", "test"):
        ours, theirs = (read_clothing1m(data("clothing1m", root), part) for root in roots)
        assert named(ours) == named(theirs)
        assert ours.labels_N.tolist() == theirs.labels_N.tolist()


def _write_with_quotes(root: Path) -> Path:
    """Write Clothing1M's lists as the ABSGD authors' code reads them."""
    write_clothing1m(root, 2)
    for name in LIST_NAMES["clothing1m"].values():
        pairs = (line.rsplit(" ", 1) for line in (root / name).read_text().splitlines())
        (root / name).write_text("".join(f'"{path}", {label}\n' for path, label in pairs))
    return root


def test_clothing1m_takes_the_authors_quotes(tmp_path: Path) -> None:
    roots = (write_clothing1m(tmp_path / "plain", 2), _write_with_quotes(tmp_path / "quotes"))
    for part in ("train", "val", "test"):
        ours, theirs = (read_clothing1m(data("clothing1m", root), part) for root in roots)
        assert named(ours) == named(theirs)
        assert ours.labels_N.tolist() == theirs.labels_N.tolist()


@pytest.mark.parametrize("content", ['"images/train/0/image 0.jpg" 0', '"images/x.jpg", one', '"/images/x.jpg", 0'])
def test_malformed_line_with_quotes_is_named(tmp_path: Path, content: str) -> None:
    root = _write_with_quotes(tmp_path)
    replace_line(root / "noisy_train_kv.txt", 3, content)
    with pytest.raises(UserError, match=rf"expected .*, got .*{root}/noisy_train_kv\.txt:3"):
        read_clothing1m(data("clothing1m", root), "train")


def test_clothing1m_trains_on_noisy_and_validates_on_clean_labels(tmp_path: Path) -> None:
    root = write_clothing1m(tmp_path, 4)
    splits = load_splits(dataset_config("clothing1m", root, **{"data.validation": "own"}))
    assert {path.split(b"/")[1] for path in splits.train.paths_N} == {b"train"}
    assert {path.split(b"/")[1] for path in splits.val.paths_N} == {b"val"}
    assert splits.class_counts == (4,) * 14


@fewer_classes
def test_inaturalist_tests_on_its_validation_list(tmp_path: Path) -> None:
    root = write_listed(tmp_path, "inaturalist18", 3, 4)
    images = read_inaturalist18(data("inaturalist18", root), "test")
    assert images.source.name == "iNaturalist18_val.txt"


@fewer_classes
@pytest.mark.parametrize("name", ["tiny_imagenet", "inaturalist18"])
def test_own_validation_is_refused_where_it_is_the_test_set(tmp_path: Path, name: str) -> None:
    config = dataset_config("imagenet_lt", tmp_path, **{"data.validation": "own"})
    config = config.model_copy(update={"data": config.data.model_copy(update={"name": name})})
    with pytest.raises(UserError, match=rf"expected `cut`: .* `{name}` are its test set \(data\.validation\)"):
        load_splits(config)


# Wrong lists.


def test_missing_list_names_the_places_searched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"ImageNet_LT_train\.txt in {tmp_path} or {tmp_path}/ImageNet_LT.*data\.root"):
        read_imagenet_lt(data("imagenet_lt", tmp_path), "train")
    with pytest.raises(
        UserError, match=r"noisy_train_kv\.txt, or noisy_train_key_list\.txt and noisy_label_kv\.txt in"
    ):
        read_clothing1m(data("clothing1m", tmp_path), "train")


def replace_line(path: Path, line: int, content: str) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = content
    path.write_text("\n".join(lines))


@fewer_classes
@pytest.mark.parametrize(
    "content", ["images/train/0/image.jpg", "images/x.jpg one", "images/x.jpg -1", "/images/x.jpg 0"]
)
def test_malformed_line_is_named(listed: Path, content: str) -> None:
    replace_line(listed / "ImageNet_LT_train.txt", 3, content)
    with pytest.raises(
        UserError, match=rf"expected .*got '.*' \({listed}/ImageNet_LT_train\.txt:3\).*data\.on_bad_image"
    ):
        load_splits(dataset_config("imagenet_lt", listed))


@fewer_classes
def test_missing_image_is_named_with_its_line(listed: Path) -> None:
    replace_line(listed / "ImageNet_LT_train.txt", 5, "images/train/0/gone.jpg 0")
    replace_line(listed / "ImageNet_LT_train.txt", 7, "no label")
    with pytest.raises(
        UserError, match=rf"got no file: {listed}/images/train/0/gone\.jpg \(named at .*_train\.txt:5\)"
    ):
        load_splits(dataset_config("imagenet_lt", listed))


@fewer_classes
@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
@pytest.mark.parametrize(("part", "allowed"), [("train", 999), ("val", 2), ("test", 2)])
def test_label_out_of_range_is_named_for_every_bad_images_option(
    listed: Path, on_bad_image: Any, part: str, allowed: int
) -> None:
    path = listed / LIST_NAMES["imagenet_lt"][part]
    replace_line(path, 2, f"images/train/0/x.jpg {allowed + 1}")
    config = data("imagenet_lt", listed, on_bad_image=on_bad_image)
    with pytest.raises(UserError, match=rf"labels from 0 to {allowed}.*got {allowed + 1} \({path}:2\)"):
        read_imagenet_lt(config, part)


@fewer_classes
def test_skip_leaves_bad_lines_missing_and_broken_images_out_and_counts_them(listed: Path) -> None:
    path = listed / "ImageNet_LT_train.txt"
    before = path.read_text().splitlines()
    replace_line(path, 2, "no label")
    replace_line(path, 4, "images/gone.jpg 0")
    replace_line(path, 5, "images/gone too.jpg 0")
    whole = listed / before[6].rpartition(" ")[0]
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.warns(UserWarning, match="left out") as caught:
        images = read_imagenet_lt(data("imagenet_lt", listed, on_bad_image="skip"), "train")
    told = [str(warning.message) for warning in caught if "left out" in str(warning.message)]
    assert told == [
        f"{path}: left out 1 malformed line, 2 missing images, 1 broken image; 8 images remain (data.on_bad_image)"
    ]
    assert images.lines_N.tolist() == [1, 3, 6, 8, 9, 10, 11, 12]
    assert [f"{name} {label}" for name, label in zip(named(images), images.labels_N, strict=True)] == [
        before[line - 1] for line in images.lines_N
    ]


def test_own_validation_without_images_is_refused(tmp_path: Path) -> None:
    """A search never lacks validation images, from which it and its tuned controls choose."""
    root = write_imagefolder(tmp_path, 2, 4)
    for image in (root / "val").rglob("*.png"):
        image.unlink()
    with pytest.raises(UserError, match=r"expected images in .*val, got none \(data\.root\)"):
        load_splits(dataset_config("imagefolder", root, **{"data.validation": "own"}))


@fewer_classes
def test_skip_that_leaves_nothing_is_an_error(listed: Path) -> None:
    shutil.rmtree(listed / "images")
    with pytest.raises(UserError, match=r"expected images in .*, got 12 missing images \(data\.root\)"):
        read_imagenet_lt(data("imagenet_lt", listed, on_bad_image="skip"), "train")


@fewer_classes
def test_class_without_training_images_is_refused(listed: Path) -> None:
    path = listed / "ImageNet_LT_train.txt"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.endswith(" 1\n")))
    for validation in ("cut", "own"):
        with pytest.raises(UserError, match=r"got 0 of class 1 \(data\.root\)"):
            load_splits(dataset_config("imagenet_lt", listed, **{"data.validation": validation}))


@pytest.mark.parametrize("content", ["", "images/x.jpg 0\n"])
def test_list_of_fewer_than_two_classes_is_refused(listed: Path, content: str) -> None:
    (listed / "ImageNet_LT_train.txt").write_text(content)
    with pytest.raises(UserError, match="expected images of at least 2 classes"):
        read_imagenet_lt(data("imagenet_lt", listed), "train")


def test_list_in_which_no_line_is_right_shows_the_first(listed: Path) -> None:
    path = listed / "ImageNet_LT_train.txt"
    path.write_text(path.read_text().replace(" 2\n", ",2\n").replace(" 1\n", ",1\n").replace(" 0\n", ",0\n"))
    with pytest.raises(UserError, match=r"at least 2 classes in .*, got 0; line 1: expected `relative/path label`"):
        read_imagenet_lt(data("imagenet_lt", listed), "train")


def test_list_in_utf_16_is_named(listed: Path) -> None:
    path = listed / "ImageNet_LT_train.txt"
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(UserError, match=r"ImageNet_LT_train\.txt is damaged: expected UTF-8 text, got UTF-16"):
        read_imagenet_lt(data("imagenet_lt", listed), "train")


def test_list_that_is_not_text_is_named(listed: Path) -> None:
    (listed / "ImageNet_LT_train.txt").write_bytes(b"images/x.jpg 0\n\xff\xfe")
    with pytest.raises(UserError, match=r"ImageNet_LT_train\.txt is damaged: .*got an invalid byte at position 15"):
        read_imagenet_lt(data("imagenet_lt", listed), "train")


def mark_byte_order(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


@fewer_classes
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_list_with_a_byte_order_mark_and_line_ends_of_windows_reads_the_same(listed: Path, part: Any) -> None:
    before = read_imagenet_lt(data("imagenet_lt", listed), part)
    for name in LIST_NAMES["imagenet_lt"].values():
        mark_byte_order(listed / name)
    after = read_imagenet_lt(data("imagenet_lt", listed), part)
    assert (named(after), after.lines_N.tolist()) == (named(before), before.lines_N.tolist())
    assert after.labels_N.tolist() == before.labels_N.tolist()


@pytest.mark.parametrize("published", [False, True])
def test_clothing1m_lists_with_byte_order_marks_read_the_same(tmp_path: Path, published: bool) -> None:
    root = write_clothing1m(tmp_path, 2, published=published)
    before = {part: named(read_clothing1m(data("clothing1m", root), part)) for part in ("train", "val", "test")}
    for path in root.rglob("*.txt"):
        mark_byte_order(path)
    for part in before:
        assert named(read_clothing1m(data("clothing1m", root), part)) == before[part]


def test_tiny_imagenet_files_with_byte_order_marks_read_the_same(tmp_path: Path) -> None:
    root = write_tiny_imagenet(tmp_path, 3, 2)
    before = {part: named(read_tiny_imagenet(data("tiny_imagenet", root), part)) for part in ("train", "test")}
    for path in root.rglob("*.txt"):
        mark_byte_order(path)
    for part in before:
        assert named(read_tiny_imagenet(data("tiny_imagenet", root), part)) == before[part]


@fewer_classes
@pytest.mark.parametrize("path", ["images/train/x\0.jpg", "/etc/x.jpg"])
def test_path_that_no_file_can_have_is_a_malformed_line(listed: Path, path: str) -> None:
    replace_line(listed / "ImageNet_LT_train.txt", 2, f"{path} 0")
    with pytest.raises(UserError, match=r"expected a relative path, got .*_train\.txt:2\)"):
        read_imagenet_lt(data("imagenet_lt", listed), "train")


def test_list_that_is_a_pipe_is_refused_without_waiting(listed: Path) -> None:
    path = listed / "ImageNet_LT_train.txt"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=rf"cannot read {path}: a device or a pipe \(data\.root\)"):
        read_imagenet_lt(data("imagenet_lt", listed), "train")


def test_folder_that_may_not_be_entered_is_not_a_missing_list() -> None:
    with unprivileged_folder() as root:
        (root / "lists").mkdir(mode=0)
        with pytest.raises(UserError, match=rf"cannot look for {root}/lists/ImageNet_LT_train\.txt: Permission denied"):
            read_imagenet_lt(data("imagenet_lt", root / "lists"), "train")


@pytest.mark.parametrize("name", ["imagefolder", "tiny_imagenet", "clothing1m"])
def test_unused_download_setting_warns(tmp_path: Path, name: Any) -> None:
    with pytest.warns(UserWarning, match=r"`data\.download` is not used"), pytest.raises(UserError):
        read_part(data(name, tmp_path, download=True), "train")


# Tiny-ImageNet.


def test_tiny_imagenet_labels_are_positions_in_wnids(tmp_path: Path) -> None:
    folder = write_tiny_imagenet(tmp_path, 4, 3) / "tiny-imagenet-200"
    wnids = (folder / "wnids.txt").read_text().split()
    assert wnids != sorted(wnids)
    for root in (tmp_path, folder):
        train = read_tiny_imagenet(data("tiny_imagenet", root), "train")
        assert [wnids[label] for label in train.labels_N] == [path.split("/")[1] for path in named(train)]
    test = read_tiny_imagenet(data("tiny_imagenet", tmp_path), "test")
    annotated = [line.split("\t") for line in (folder / "val" / "val_annotations.txt").read_text().splitlines()]
    assert [(name.split("/")[-1], wnids[label]) for name, label in zip(named(test), test.labels_N, strict=True)] == [
        (name, wnid) for name, wnid, *_ in annotated
    ]


@pytest.mark.parametrize("content", ["val_0.JPEG", "val_0.JPEG\tn99999999\t0\t0\t63\t63"])
def test_tiny_imagenet_annotation_without_a_class_is_named(tmp_path: Path, content: str) -> None:
    root = write_tiny_imagenet(tmp_path, 3, 2)
    replace_line(root / "tiny-imagenet-200" / "val" / "val_annotations.txt", 2, content)
    with pytest.raises(UserError, match=r"expected .*wnids\.txt, got .*val_annotations\.txt:2\)"):
        load_test(dataset_config("tiny_imagenet", root))


@pytest.mark.parametrize("wnids", ["n1\nn1\nn2\n", "n1\n", "\n".join(f"n{number}" for number in range(201))])
def test_tiny_imagenet_with_wrong_wnids_names_the_file(tmp_path: Path, wnids: str) -> None:
    (tmp_path / "wnids.txt").write_text(wnids)
    with pytest.raises(UserError, match=r"wnids\.txt is damaged: expected 2 to 200 different classes"):
        read_tiny_imagenet(data("tiny_imagenet", tmp_path), "train")


def test_tiny_imagenet_class_without_its_folder_is_refused(tmp_path: Path) -> None:
    root = write_tiny_imagenet(tmp_path, 3, 4)
    gone = next((root / "tiny-imagenet-200" / "train").iterdir())
    shutil.rmtree(gone)
    with pytest.raises(UserError, match=rf"cannot list {gone}/images: No such file or directory \(data\.root\)"):
        load_splits(dataset_config("tiny_imagenet", root))


# Folders.


def test_imagefolder_classes_are_the_folders_in_order_of_their_names(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 2, 2)
    (root / "train" / "class_0").rename(root / "train" / "zebra")
    (root / "train" / "class_1").rename(root / "train" / "Ape")
    (root / "train" / ".cache").mkdir()
    shutil.rmtree(root / "val")
    (root / "test" / "class_0").rename(root / "test" / "zebra")
    shutil.rmtree(root / "test" / "class_1")
    images = read_imagefolder(data("imagefolder", root), "train")
    assert images.num_classes == 2
    assert [name.split("/")[1] for name in named(images)] == ["Ape", "Ape", "zebra", "zebra"]
    assert images.labels_N.tolist() == [0, 0, 1, 1]
    assert read_imagefolder(data("imagefolder", root), "test").labels_N.tolist() == [1, 1]


def test_imagefolder_takes_images_at_any_depth_and_nothing_else(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 2, 1)
    inner = root / "train" / "class_0" / "2024" / "May"
    inner.mkdir(parents=True)
    write_image(inner / "A.JPG", np.zeros((8, 8, 3), np.uint8))
    for name in ("._A.JPG", "notes.txt", "Thumbs.db"):
        (inner / name).write_text("no image")
    assert "train/class_0/2024/May/A.JPG" in named(read_imagefolder(data("imagefolder", root), "train"))
    assert len(read_imagefolder(data("imagefolder", root), "train")) == 3


def test_imagefolder_keeps_its_own_imbalance(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 3, 8)
    for path in sorted((root / "train" / "class_2").iterdir())[:4]:
        path.unlink()
    assert load_splits(dataset_config("imagefolder", root)).class_counts == (5, 5, 1)


def test_imagefolder_has_its_own_validation_folder(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 3, 4, val_per_class=2)
    shutil.rmtree(root / "val" / "class_1")
    images = read_part(data("imagefolder", root), "val")
    assert isinstance(images, ImageFiles)
    assert (images.labels_N.tolist(), images.num_classes) == ([0, 0, 2, 2], 3)
    assert {name.split("/")[0] for name in named(images)} == {"val"}


def break_no_train(root: Path) -> str:
    shutil.rmtree(root / "train")
    return rf"expected the folder {root}/train with a folder of images for each class.*\(data\.root\)"


def break_empty_train(root: Path) -> str:
    shutil.rmtree(root / "train")
    (root / "train").mkdir()
    return rf"expected at least 2 class folders in {root}/train, got 0"


def break_one_class(root: Path) -> str:
    shutil.rmtree(root / "train" / "class_1")
    shutil.rmtree(root / "train" / "class_2")
    return "expected at least 2 class folders in .*, got 1"


def break_empty_class(root: Path) -> str:
    for path in (root / "train" / "class_1").iterdir():
        path.rename(path.with_suffix(".txt"))
    return rf"expected images \(\.jpg, .*\) in every class folder, got none in {root}/train/class_1 \(data\.root\)"


@pytest.mark.parametrize("damage", [break_no_train, break_empty_train, break_one_class, break_empty_class])
def test_imagefolder_that_cannot_be_trained_on_says_why(tmp_path: Path, damage: Callable[[Path], str]) -> None:
    message = damage(write_imagefolder(tmp_path, 3, 4))
    with pytest.raises(UserError, match=message):
        load_splits(dataset_config("imagefolder", tmp_path))


def test_imagefolder_without_test_or_with_other_classes_says_so(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 2, 4)
    (root / "test" / "class_1").rename(root / "test" / "klass_1")
    with pytest.raises(UserError, match=rf"expected the class folders of {root}/train, got {root}/test/klass_1"):
        load_test(dataset_config("imagefolder", root))
    shutil.rmtree(root / "test")
    load_splits(dataset_config("imagefolder", root))
    with pytest.raises(UserError, match=rf"expected the folder {root}/test"):
        load_test(dataset_config("imagefolder", root))


# Own validation.


@fewer_classes
def test_own_validation_is_the_list_and_leaves_training_whole(listed: Path) -> None:
    splits = load_splits(dataset_config("imagenet_lt", listed, **{"data.validation": "own"}))
    assert splits.class_counts == (4, 4, 4)
    assert splits.val.source.name == "ImageNet_LT_val.txt"
    assert np.bincount(splits.val.labels_N).tolist() == [2, 2, 2]
    assert splits.hash != load_splits(dataset_config("imagenet_lt", listed, **{"data.val_per_class": 1})).hash


@fewer_classes
def test_own_validation_labels_get_no_noise(listed: Path) -> None:
    noise = {"noise.type": "symmetric", "noise.rate": 0.5, "noise.validation": "clean", "data.validation": "own"}
    clean = load_splits(dataset_config("imagenet_lt", listed, **{"data.validation": "own"}))
    noisy = load_splits(dataset_config("imagenet_lt", listed, **noise))
    assert noisy.val.labels_N.tolist() == clean.val.labels_N.tolist()
    assert np.bincount(clean.train.labels_N[noisy.changed_N]).tolist() == [2, 2, 2]


@fewer_classes
def test_imbalance_and_cap_act_with_own_validation(listed: Path) -> None:
    values = {"data.validation": "own", "imbalance.type": "exp", "imbalance.ratio": 0.25}
    assert load_splits(dataset_config("imagenet_lt", listed, **values)).class_counts == (4, 2, 1)


@fewer_classes
def test_reading_one_part_leaves_the_images_of_the_others_alone(listed: Path) -> None:
    for part in ("train", "val"):
        shutil.rmtree(listed / "images" / part)
    config = data("imagenet_lt", listed)
    assert len(read_imagenet_lt(config, "test")) == 6
    with pytest.raises(UserError, match="got no file"):
        read_imagenet_lt(config, "train")


def test_good_files_give_no_warning(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for on_bad_image in ("error", "skip"):
            load_splits(dataset_config("imagefolder", root, **{"data.on_bad_image": on_bad_image}))
