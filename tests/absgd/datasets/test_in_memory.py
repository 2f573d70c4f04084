"""The in-memory data sets: the contract, the folders searched for files, downloads, damaged files."""

from __future__ import annotations

import gzip
import urllib.error
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets

from absgd.config import RunConfig
from absgd.config.sections import DataConfig
from absgd.datasets import DATASETS, in_memory, load_splits, load_test, read_part
from absgd.datasets.in_memory import (
    DEBIAN_FASHION_MNIST,
    DatasetPart,
    read_cifar10,
    read_cifar100,
    read_digits,
    read_fashion_mnist,
)
from absgd.errors import UserError
from tests.contracts.datasets import DatasetContract, dataset_config
from tests.support.small_files import python2_pickle, write_cifar10, write_cifar100, write_fashion_mnist

not_published = pytest.mark.filterwarnings("ignore:.*does not hold the published")
real_fashion_mnist = pytest.mark.skipif(
    not DEBIAN_FASHION_MNIST.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)


class TestDigits(DatasetContract):
    entry = "digits"

    @pytest.fixture
    def config(self) -> RunConfig:
        return dataset_config("digits")


class TestFashionMnist(DatasetContract):
    entry = "fashion_mnist"

    @pytest.fixture(params=[True, False], ids=["gz", "plain"])
    def config(self, request: pytest.FixtureRequest, tmp_path: Path) -> RunConfig:
        return dataset_config("fashion_mnist", write_fashion_mnist(tmp_path, per_class=10, gz=request.param))


class TestCifar10(DatasetContract):
    entry = "cifar10"

    @pytest.fixture
    def config(self, tmp_path: Path) -> RunConfig:
        return dataset_config("cifar10", write_cifar10(tmp_path, per_class=10))


class TestCifar100(DatasetContract):
    entry = "cifar100"

    @pytest.fixture
    def config(self, tmp_path: Path) -> RunConfig:
        return dataset_config("cifar100", write_cifar100(tmp_path, per_class=10))


def test_digits_test_part_is_a_fixed_stratified_fifth() -> None:
    train, test = (read_digits(DataConfig(name="digits"), part) for part in ("train", "test"))
    assert len(train) + len(test) == 1797
    shares = np.bincount(test.labels_N) / (np.bincount(test.labels_N) + np.bincount(train.labels_N))
    assert shares == pytest.approx(0.2, abs=0.005)
    other_seeds = dataset_config("digits", **{"seeds.data": 7, "seeds.train": 7})
    np.testing.assert_array_equal(load_test(other_seeds).images_NCHW, test.images_NCHW)


@pytest.mark.parametrize("part", ["train", "test"])
def test_digits_are_those_that_scikit_learn_reads(part: DatasetPart, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DataConfig(name="digits")
    from_the_file = read_digits(config, part)
    monkeypatch.setattr(in_memory, "DIGITS_FILE", "elsewhere")
    by_scikit_learn = read_digits(config, part)
    np.testing.assert_array_equal(from_the_file.images_NCHW, by_scikit_learn.images_NCHW)
    np.testing.assert_array_equal(from_the_file.labels_N, by_scikit_learn.labels_N)


def test_digits_fill_the_range_of_uint8() -> None:
    images = read_digits(DataConfig(name="digits"), "train").images_NCHW
    assert np.unique(images).tolist() == np.rint(np.arange(17) * 255 / 16).astype(int).tolist()


@pytest.mark.parametrize(("key", "value"), [("root", "elsewhere"), ("download", True)])
def test_digits_warn_of_a_setting_they_do_not_use(key: str, value: Any) -> None:
    with pytest.warns(UserWarning, match=rf"`data\.{key}` is not used"):
        read_digits(DataConfig(name="digits", **{key: value}), "train")


@pytest.mark.fashion_mnist
@real_fashion_mnist
def test_real_fashion_mnist_is_read_from_debians_folder() -> None:
    config = dataset_config("fashion_mnist", **{"imbalance.type": "exp", "imbalance.ratio": 0.01})
    splits = load_splits(config.with_values({"data.val_per_class": 1000}))
    assert splits.class_counts == (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    test = load_test(config)
    assert test.images_NCHW.shape == (10000, 1, 28, 28)
    assert np.bincount(test.labels_N).tolist() == [1000] * 10


@pytest.mark.parametrize("gz", [True, False])
def test_fashion_mnist_is_found_in_torchvisions_layout(tmp_path: Path, gz: bool) -> None:
    write_fashion_mnist(tmp_path / "FashionMNIST" / "raw", per_class=2, gz=gz)
    images = read_fashion_mnist(DataConfig(name="fashion_mnist", root=str(tmp_path)), "train")
    assert images.images_NCHW.shape == (20, 1, 28, 28)


def test_root_may_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_fashion_mnist(tmp_path / "images", per_class=2)
    assert len(read_fashion_mnist(DataConfig(name="fashion_mnist", root="~/images"), "train")) == 20


def test_fashion_mnist_equals_what_torchvision_reads(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path / "FashionMNIST" / "raw", per_class=3, gz=False)
    ours = read_fashion_mnist(DataConfig(name="fashion_mnist", root=str(tmp_path)), "test")
    theirs = torchvision.datasets.FashionMNIST(tmp_path, train=False)
    np.testing.assert_array_equal(ours.images_NCHW[:, 0], theirs.data.numpy())
    np.testing.assert_array_equal(ours.labels_N, theirs.targets.numpy())


def test_fashion_mnist_without_root_prefers_debians_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("absgd.datasets.in_memory.DEBIAN_FASHION_MNIST", tmp_path / "debian")
    write_fashion_mnist(tmp_path / "data", per_class=2)
    config = DataConfig(name="fashion_mnist")
    assert len(read_fashion_mnist(config, "train")) == 20
    write_fashion_mnist(tmp_path / "debian", per_class=3)
    assert len(read_fashion_mnist(config, "train")) == 30
    assert len(read_fashion_mnist(config.model_copy(update={"root": "data"}), "train")) == 20


def test_missing_fashion_mnist_names_three_ways_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_fashion_mnist(DataConfig(name="fashion_mnist", root=str(tmp_path)), "train")
    message = str(caught.value)
    for part in (str(tmp_path), "`data.root`", "dataset-fashion-mnist", "`data.download: true`", "train-images-idx3"):
        assert part in message


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_cifar_names_the_folder_and_the_remedy(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{tmp_path}.*`data\.root`.*`data\.download: true` \(data\.root\)"):
        read_part(DataConfig(name=name, root=str(tmp_path)), "train")


Writer = Callable[..., Path]
WRITERS: dict[str, tuple[Writer, str, str]] = {
    "fashion_mnist": (write_fashion_mnist, "t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "cifar10": (write_cifar10, "cifar-10-batches-py/test_batch", "cifar-10-batches-py/data_batch_3"),
    "cifar100": (write_cifar100, "cifar-100-python/test", "cifar-100-python/train"),
}
"""Writer, a file of the test part, a file of the training part."""


@not_published
@pytest.mark.parametrize("name", WRITERS)
def test_reading_one_part_leaves_the_other_alone(tmp_path: Path, name: Any) -> None:
    write, test_file, train_file = WRITERS[name]
    config = DataConfig(name=name, root=str(write(tmp_path, per_class=2)))
    (tmp_path / test_file).write_bytes(b"damaged")
    assert len(read_part(config, "train")) == 2 * DATASETS[name].num_classes
    with pytest.raises(UserError, match=f"{test_file} is damaged"):
        read_part(config, "test")
    (tmp_path / train_file).unlink()
    with pytest.raises(UserError, match=r"\(data\.root\)"):
        read_part(config, "train")


@not_published
@pytest.mark.parametrize("name", WRITERS)
def test_truncated_file_is_named(tmp_path: Path, name: Any) -> None:
    write, _, train_file = WRITERS[name]
    config = dataset_config(name, write(tmp_path, per_class=5))
    path = tmp_path / train_file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=rf"{train_file} is damaged: .*\(data\.root\)"):
        load_splits(config)


@not_published
@pytest.mark.parametrize(("labels", "message"), [([0, 1, 10], "got 10 at 2"), ([0, 1], "expected 3 labels")])
def test_cifar_with_wrong_labels_names_the_file(tmp_path: Path, labels: list[int], message: str) -> None:
    write_cifar10(tmp_path, per_class=2)
    pixels = np.zeros((3, 3072), dtype=np.uint8)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(python2_pickle({"data": pixels, "labels": labels}))
    with pytest.raises(UserError, match=f"data_batch_2 is damaged: .*{message}"):
        read_cifar10(DataConfig(name="cifar10", root=str(tmp_path)), "train")


def test_fashion_mnist_of_another_side_names_the_file(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path, per_class=2)
    content = bytes((0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 14, 0, 0, 0, 56)) + bytes(20 * 14 * 56)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=r"train-images.* is damaged: expected images of 28 x 28 .*14 x 56"):
        read_fashion_mnist(DataConfig(name="fashion_mnist", root=str(tmp_path)), "train")


@not_published
def test_cifar_root_may_be_the_folder_of_the_files(tmp_path: Path) -> None:
    write_cifar100(tmp_path, per_class=1)
    outer, inner = (
        read_cifar100(DataConfig(name="cifar100", root=str(root)), "train")
        for root in (tmp_path, tmp_path / "cifar-100-python")
    )
    np.testing.assert_array_equal(outer.images_NCHW, inner.images_NCHW)


@pytest.mark.filterwarnings("ignore")  # numpy's, at the flags of Python 2's pickles
@pytest.mark.parametrize(
    ("name", "write", "theirs"),
    [
        ("cifar10", write_cifar10, torchvision.datasets.CIFAR10),
        ("cifar100", write_cifar100, torchvision.datasets.CIFAR100),
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_cifar_equals_what_torchvision_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, write: Writer, theirs: Any, part: Any
) -> None:
    write(tmp_path, per_class=3)
    ours = read_part(DataConfig(name=name, root=str(tmp_path)), part)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, _md5: Path(path).is_file())
    expected = theirs(tmp_path, train=part == "train")
    np.testing.assert_array_equal(ours.images_NCHW.transpose(0, 2, 3, 1), expected.data)
    assert ours.labels_N.tolist() == expected.targets


def test_cifar_files_that_are_not_the_published_ones_warn_once(tmp_path: Path) -> None:
    config = DataConfig(name="cifar10", root=str(write_cifar10(tmp_path, per_class=2)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            read_cifar10(config, "train")
            read_cifar10(config, "test")
    assert [str(warning.message) for warning in caught] == [
        f"{tmp_path / 'cifar-10-batches-py'} does not hold the published CIFAR10 files"
    ]


@pytest.mark.parametrize(
    ("name", "class_name", "write"),
    [
        ("fashion_mnist", "FashionMNIST", lambda root: write_fashion_mnist(root / "FashionMNIST" / "raw", 2, gz=False)),
        ("cifar10", "CIFAR10", lambda root: write_cifar10(root, 2)),
        ("cifar100", "CIFAR100", lambda root: write_cifar100(root, 2)),
    ],
)
@not_published
def test_download_is_torchvisions_and_only_when_asked_and_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, class_name: str, write: Callable[[Path], Path]
) -> None:
    downloads = []

    class Fake(getattr(torchvision.datasets, class_name)):  # type: ignore[misc]
        def __init__(self, root: Path, download: bool) -> None:
            assert download
            downloads.append(root)
            write(root)

    monkeypatch.setattr(torchvision.datasets, class_name, Fake)
    root = tmp_path / "not" / "there"
    config = DataConfig(name=name, root=str(root))
    with pytest.raises(UserError, match=r"data\.download"):
        read_part(config, "train")
    assert not root.exists()
    config = config.model_copy(update={"download": True})
    for part in ("train", "test"):
        assert len(read_part(config, part)) == 2 * DATASETS[name].num_classes
    assert downloads == [root]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (urllib.error.URLError("no route to host"), "no route to host"),
        (RuntimeError("Error downloading x:\nTried y"), "Error downloading x:"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_failed_download_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(self: object) -> None:
        raise error

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", fail)
    with pytest.raises(UserError, match=rf"cannot download CIFAR10 into .*{reason}.*\(data\.download\)"):
        read_cifar10(DataConfig(name="cifar10", root=str(tmp_path), download=True), "train")


def test_download_into_an_unwritable_place_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot download CIFAR10 into .*\(data\.download\)"):
        read_cifar10(DataConfig(name="cifar10", root=str(tmp_path / "file" / "below"), download=True), "train")
