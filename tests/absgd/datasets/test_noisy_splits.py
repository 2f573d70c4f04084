"""Every kind of noise in a scenario, together with imbalance: through `load_splits`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.datasets.noise import CIFAR10_PAIRS, CIFAR100_SUPERCLASSES, NOISES
from tests.contracts.datasets import dataset_config
from tests.support.small_files import write_cifar10, write_cifar100

pytestmark = pytest.mark.filterwarnings("ignore:.*does not hold the published")

IMBALANCE = {"imbalance.type": "exp", "imbalance.ratio": 0.25}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "cifar10": write_cifar10(tmp_path_factory.mktemp("cifar10"), per_class=43),
        "cifar100": write_cifar100(tmp_path_factory.mktemp("cifar100"), per_class=11),
    }


def scenario(roots: dict[str, Path], type: str, rate: float = 0.4) -> RunConfig:
    name = "cifar100" if type.startswith("cifar100") else "cifar10"
    noise = {"noise.type": type, "noise.rate": rate} if rate else {}
    return dataset_config(name, roots[name], **IMBALANCE, **noise)


@pytest.mark.parametrize("type", NOISES)
def test_noise_with_imbalance_is_exact_in_every_class(type: str, roots: dict[str, Path]) -> None:
    clean, noisy = load_splits(scenario(roots, type, rate=0)), load_splits(scenario(roots, type))
    assert clean.class_counts[0] == 4 * clean.class_counts[-1]
    np.testing.assert_array_equal(noisy.train.images_NCHW, clean.train.images_NCHW)
    np.testing.assert_array_equal(noisy.changed_N, noisy.train.labels_N != clean.train.labels_N)
    changed_C = np.bincount(clean.train.labels_N[noisy.changed_N], minlength=clean.num_classes)
    drawn_C = np.array([round(0.4 * count) for count in clean.class_counts])
    if type == "cifar10_pairs":
        drawn_C[[label for label in range(10) if label not in CIFAR10_PAIRS]] = 0
    if type == "symmetric_all":
        assert (changed_C <= drawn_C).all()
        assert 0 < changed_C.sum() < drawn_C.sum()
    else:
        assert changed_C.tolist() == drawn_C.tolist()
    assert noisy.class_counts == tuple(np.bincount(noisy.train.labels_N, minlength=clean.num_classes))


def test_superclass_noise_with_imbalance_stays_inside_superclasses(roots: dict[str, Path]) -> None:
    config = scenario(roots, "cifar100_superclasses")
    clean, noisy = load_splits(scenario(roots, "cifar100_superclasses", rate=0)), load_splits(config)
    coarse_C = np.empty(100, dtype=np.int64)
    for number, labels in enumerate(CIFAR100_SUPERCLASSES.values()):
        coarse_C[list(labels)] = number
    assert noisy.changed_N.any()
    np.testing.assert_array_equal(coarse_C[noisy.train.labels_N], coarse_C[clean.train.labels_N])
    np.testing.assert_array_equal(coarse_C[noisy.val.labels_N], coarse_C[clean.val.labels_N])


def test_validation_labels_carry_each_noise_unless_clean(roots: dict[str, Path]) -> None:
    config = scenario(roots, "cifar10_pairs").with_values({"data.val_per_class": 10})
    noisy, mixed = load_splits(config), load_splits(config.with_values({"noise.validation": "clean"}))
    wrong_N = noisy.val.labels_N != mixed.val.labels_N
    assert np.bincount(mixed.val.labels_N).tolist() == [10] * 10
    assert np.bincount(mixed.val.labels_N[wrong_N], minlength=10).tolist() == [0, 0, 4, 4, 4, 4, 0, 0, 0, 4]
    np.testing.assert_array_equal(noisy.train.labels_N, mixed.train.labels_N)


def test_hash_differs_by_kind_rate_and_validation(roots: dict[str, Path]) -> None:
    configs = [scenario(roots, type) for type in NOISES]
    configs += [scenario(roots, "symmetric", rate) for rate in (0, 0.2)]
    configs += [scenario(roots, "symmetric").with_values({"noise.validation": "clean"})]
    assert len({load_splits(config).hash for config in configs}) == len(configs)
