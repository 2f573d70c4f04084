"""The published package's imbalanced CIFAR: the same images for the same `rand_number`."""

# ruff: noqa: NPY002 - the published choice is drawn by numpy's legacy generator

from __future__ import annotations

import hashlib
import inspect
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from absgd.datasets import IMBALANCECIFAR10, IMBALANCECIFAR100
from absgd.datasets.published_cifar import published_counts, published_subsample
from absgd.errors import UserError
from tests.support.small_files import write_cifar10, write_cifar100


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision accept files that are not the published ones."""
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda _self: True)
    for layout in (CIFAR10, CIFAR100):
        monkeypatch.setattr(layout, "meta", {**layout.meta, "md5": None})


@pytest.fixture
def root10(tmp_path: Path, unchecked: None) -> Path:
    return write_cifar10(tmp_path, per_class=30, test_per_class=10)


def kept_by_loop(labels_N: np.ndarray, counts: list[int], rand_number: int) -> list[int]:
    """The published choice, by numpy's global generator as the package draws it."""
    state = np.random.get_state()
    np.random.seed(rand_number)
    kept: list[int] = []
    for label, count in enumerate(counts):
        members = np.array([index for index, other in enumerate(labels_N) if other == label])
        np.random.shuffle(members)
        kept += members[:count].tolist()
    np.random.set_state(state)
    return kept


@pytest.mark.parametrize(
    ("num_classes", "imb_type", "imb_factor", "total"),
    [
        (10, "exp", 0.1, 20431),
        (10, "exp", 0.02, 13996),
        (10, "exp", 0.01, 12406),
        (100, "exp", 0.1, 19573),
        (100, "exp", 0.02, 12608),
        (100, "exp", 0.01, 10847),
        (10, "step", 0.01, 25250),
        (100, "step", 0.1, 27500),
        (100, None, 0.1, 50000),
    ],
)
def test_published_counts_have_the_published_totals(
    num_classes: int, imb_type: str | None, imb_factor: float, total: int
) -> None:
    counts = published_counts(50_000, num_classes, imb_type, imb_factor)
    assert (len(counts), sum(counts)) == (num_classes, total)


def test_published_counts_round_down_as_floating_point_does() -> None:
    assert 100 * 0.29 < 29
    assert published_counts(1000, 10, "step", 0.29) == [100] * 5 + [28] * 5


@pytest.mark.parametrize(
    ("num_classes", "imb_type", "imb_factor", "rand_number", "sha256"),
    [
        (10, "exp", 0.01, 0, "563055e23a86ca16"),
        (10, "step", 0.1, 1, "30034e524b33c219"),
        (100, "exp", 0.1, 2, "f1972973c3ac2eba"),
        (100, "step", 0.01, 3, "7dba70cd0e677d13"),
    ],
)
def test_published_subsample_is_the_packages_own(
    num_classes: int, imb_type: str, imb_factor: float, rand_number: int, sha256: str
) -> None:
    # The hashes were taken from the indices that `absgd` 0.0.1 keeps of these labels.
    counts = published_counts(50_000, num_classes, imb_type, imb_factor)
    index_M = published_subsample(np.arange(50_000) % num_classes, counts, rand_number)
    assert hashlib.sha256(index_M.astype("<i8").tobytes()).hexdigest()[:16] == sha256


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("imb_type", "rand_number"), [("exp", 0), ("step", 7), (None, 1)])
def test_imbalanced_cifar10_keeps_the_published_images(
    imb_type: str | None, rand_number: int, train: bool, root10: Path
) -> None:
    whole = CIFAR10(root10, train=train)
    data = IMBALANCECIFAR10(root10, imb_type, 0.2, rand_number, train)
    counts = published_counts(len(whole), 10, imb_type, 0.2)
    kept = kept_by_loop(np.array(whole.targets), counts, rand_number)
    np.testing.assert_array_equal(data.data, whole.data[kept])
    assert data.targets == [whole.targets[index] for index in kept]
    assert data.get_cls_num_list() == counts == np.bincount(data.targets).tolist()
    assert len(data) == len(kept)


def test_imbalanced_cifar100_has_fine_labels(tmp_path: Path, unchecked: None) -> None:
    write_cifar100(tmp_path, per_class=10)
    whole, data = CIFAR100(tmp_path), IMBALANCECIFAR100(tmp_path, imb_factor=0.1, rand_number=3)
    counts = published_counts(1000, 100, "exp", 0.1)
    assert counts[::33] == [10, 4, 2, 1]
    assert data.get_cls_num_list() == counts
    np.testing.assert_array_equal(data.data, whole.data[kept_by_loop(np.array(whole.targets), counts, 3)])
    assert isinstance(data, IMBALANCECIFAR10)
    assert data.classes == whole.classes


def test_imbalanced_cifar10_items_are_torchvisions(root10: Path) -> None:
    data = IMBALANCECIFAR10(
        root10, imb_factor=0.1, transform=np.asarray, target_transform=lambda label: f"class {label}"
    )
    image, target = data[0]
    assert image.shape == (32, 32, 3)
    np.testing.assert_array_equal(image, data.data[0])
    assert target == "class 0"
    assert isinstance(data, CIFAR10)


def test_imbalanced_cifar10_leaves_the_global_generator_alone(root10: Path) -> None:
    np.random.seed(123)
    expected = np.random.random()
    np.random.seed(123)
    IMBALANCECIFAR10(root10, imb_factor=0.5)
    assert np.random.random() == expected


def test_imbalanced_cifar10_survives_pickling(root10: Path) -> None:
    data = IMBALANCECIFAR10(root10, imb_factor=0.5)
    assert pickle.loads(pickle.dumps(data)).get_cls_num_list() == data.get_cls_num_list()


@pytest.mark.parametrize("data_class", [IMBALANCECIFAR10, IMBALANCECIFAR100])
def test_imbalanced_cifar_has_the_published_signature(data_class: Any) -> None:
    parameters = inspect.signature(data_class).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "root": inspect.Parameter.empty,
        "imb_type": "exp",
        "imb_factor": 0.01,
        "rand_number": 0,
        "train": True,
        "transform": None,
        "target_transform": None,
        "download": True,
    }
    assert list(parameters) == (
        ["root", "imb_type", "imb_factor", "rand_number", "train", "transform", "target_transform", "download"]
    )


@pytest.mark.parametrize("imb_factor", [0.0, -0.1, 1.5])
def test_imbalanced_cifar10_with_a_factor_out_of_range_is_refused(imb_factor: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected `imb_factor` in \(0, 1\], got .* \(imb_factor\)"):
        IMBALANCECIFAR10(tmp_path, imb_factor=imb_factor, download=False)


def test_imbalanced_cifar10_of_an_unknown_type_keeps_all_and_says_so(root10: Path) -> None:
    with pytest.warns(UserWarning, match="imb_type 'expp'") as warned:
        data = IMBALANCECIFAR10(root10, "expp")
    assert data.get_cls_num_list() == [30] * 10
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        IMBALANCECIFAR10(root10, None)


def test_data_sets_import_without_torchvision() -> None:
    program = "import sys, absgd.datasets; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_unknown_name_of_the_data_sets_is_an_attribute_error() -> None:
    import absgd.datasets

    with pytest.raises(AttributeError, match="IMBALANCECIFAR1000"):
        absgd.datasets.IMBALANCECIFAR1000  # noqa: B018
