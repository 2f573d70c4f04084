"""Splits: order of validation, cap, imbalance and noise; seeds; the hash; refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from absgd.config import RunConfig
from absgd.datasets import load_splits, split_indices
from absgd.datasets.splits import SplitIndices, split_hash
from absgd.errors import UserError
from tests.contracts.datasets import dataset_config

LABELS_N = np.random.default_rng(0).permutation(np.repeat(np.arange(4), (20, 30, 40, 12)))


def config_of(**values: Any) -> RunConfig:
    return dataset_config("digits", **{"data.val_per_class": 2, **values})


def counts_of(config: RunConfig, labels_N: np.ndarray = LABELS_N) -> tuple[list[int], list[int]]:
    index = split_indices(labels_N, config, 4)
    assert not set(index.train) & set(index.val)
    return np.bincount(labels_N[index.train]).tolist(), np.bincount(labels_N[index.val]).tolist()


@pytest.mark.parametrize(
    ("values", "train"),
    [
        ({}, [18, 28, 38, 10]),
        ({"data.n_max": 15}, [15, 15, 15, 10]),
        ({"imbalance.type": "exp", "imbalance.ratio": 0.125}, [10, 5, 2, 1]),
        ({"imbalance.type": "step", "imbalance.ratio": 0.5}, [10, 10, 5, 5]),
        ({"imbalance.type": "step", "imbalance.ratio": 0.5, "data.n_max": 8}, [8, 8, 4, 4]),
    ],
)
def test_training_counts_follow_from_images_left_by_validation(values: dict[str, Any], train: list[int]) -> None:
    assert counts_of(config_of(**values)) == (train, [2, 2, 2, 2])


def test_validation_does_not_depend_on_imbalance_or_cap() -> None:
    plain = split_indices(LABELS_N, config_of(), 4)
    other = split_indices(LABELS_N, config_of(**{"imbalance.type": "exp", "imbalance.ratio": 0.2, "data.n_max": 9}), 4)
    np.testing.assert_array_equal(plain.val, other.val)
    assert set(other.train) < set(plain.train)


def test_indices_rise_and_follow_the_data_seed() -> None:
    first, again, other = (split_indices(LABELS_N, config_of(**{"seeds.data": seed}), 4) for seed in (0, 0, 1))
    assert all((np.diff(index_M) > 0).all() for index_M in first)
    np.testing.assert_array_equal(first.val, again.val)
    assert first.val.tolist() != other.val.tolist()


@pytest.mark.parametrize("val_per_class", [12, 13, 500])
def test_val_per_class_too_large_names_the_smallest_class(val_per_class: int) -> None:
    config = config_of(**{"data.val_per_class": val_per_class})
    message = rf"expected `val_per_class` < 12 \(.*class 3\), got {val_per_class} \(data\.val_per_class\)"
    with pytest.raises(UserError, match=message):
        split_indices(LABELS_N, config, 4)


def test_class_without_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected at least 2 training images .*got 0 of class 4 \(data\.root\)"):
        split_indices(LABELS_N, config_of(), 5)


def test_imbalance_that_empties_a_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"got 0 of class 3.*\(imbalance\.ratio\)"):
        split_indices(LABELS_N, config_of(**{"imbalance.type": "exp", "imbalance.ratio": 0.05}), 4)


NOISE = {"noise.type": "symmetric", "noise.rate": 0.4}


def test_noise_reaches_validation_unless_it_is_clean() -> None:
    clean = load_splits(config_of(**{"data.val_per_class": 10}))
    noisy = load_splits(config_of(**{"data.val_per_class": 10, **NOISE}))
    mixed = load_splits(config_of(**{"data.val_per_class": 10, **NOISE, "noise.validation": "clean"}))
    wrong_N = noisy.val.labels_N != clean.val.labels_N
    assert np.bincount(clean.val.labels_N[wrong_N]).tolist() == [4] * 10
    np.testing.assert_array_equal(mixed.val.labels_N, clean.val.labels_N)
    np.testing.assert_array_equal(mixed.train.labels_N, noisy.train.labels_N)
    np.testing.assert_array_equal(mixed.val.images_NCHW, clean.val.images_NCHW)


def test_noise_is_applied_after_imbalance() -> None:
    imbalance = {"imbalance.type": "exp", "imbalance.ratio": 0.1, "data.n_max": 100}
    clean, noisy = load_splits(config_of(**imbalance)), load_splits(config_of(**imbalance, **NOISE))
    np.testing.assert_array_equal(noisy.train.images_NCHW, clean.train.images_NCHW)
    changed = np.bincount(clean.train.labels_N[noisy.changed_N], minlength=10).tolist()
    assert changed == [round(0.4 * count) for count in clean.class_counts]
    assert noisy.class_counts == tuple(np.bincount(noisy.train.labels_N, minlength=10))
    assert noisy.class_counts != clean.class_counts


def test_validation_noise_does_not_depend_on_imbalance() -> None:
    first = load_splits(config_of(**NOISE))
    second = load_splits(config_of(**NOISE, **{"imbalance.type": "exp", "imbalance.ratio": 0.1}))
    np.testing.assert_array_equal(first.val.labels_N, second.val.labels_N)


def test_noise_and_images_follow_the_data_seed_apart_from_the_training_seed() -> None:
    base = load_splits(config_of(**NOISE))
    assert load_splits(config_of(**NOISE, **{"seeds.train": 9})).hash == base.hash
    assert load_splits(config_of(**NOISE, **{"seeds.data": 9})).hash != base.hash


def test_hash_follows_name_indices_and_labels() -> None:
    index = SplitIndices(np.array([0, 2, 5]), np.array([1, 3]))
    train_N, val_N = np.array([0, 1, 1]), np.array([0, 1])
    hashes = [
        split_hash("digits", index, train_N, val_N),
        split_hash("cifar10", index, train_N, val_N),
        split_hash("digits", SplitIndices(np.array([0, 2, 6]), index.val), train_N, val_N),
        split_hash("digits", SplitIndices(index.train, np.array([1, 4])), train_N, val_N),
        split_hash("digits", index, np.array([0, 1, 0]), val_N),
        split_hash("digits", index, train_N, np.array([1, 1])),
        split_hash("digits", SplitIndices(np.array([0, 2]), np.array([5, 1, 3])), train_N, val_N),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hashes[0] == split_hash("digits", index, train_N.astype(">i8"), val_N)
    assert len(hashes[0]) == 64
