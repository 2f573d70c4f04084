"""Class counts compared with the published ones, and the images that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from absgd.datasets import class_counts, subsample
from absgd.errors import UserError

CIFAR10_EXP_001 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)


@pytest.mark.parametrize(
    ("type", "num_classes", "n_max", "ratio", "total"),
    [
        ("exp", 10, 5000, 0.1, 20431),
        ("exp", 10, 5000, 0.02, 13996),
        ("exp", 10, 5000, 0.01, 12406),
        ("exp", 100, 500, 0.1, 19573),
        ("exp", 100, 500, 0.02, 12608),
        ("exp", 100, 500, 0.01, 10847),
        ("step", 10, 5000, 0.1, 27500),
        ("step", 10, 5000, 0.02, 25500),
        ("step", 10, 5000, 0.01, 25250),
        ("step", 100, 500, 0.1, 27500),
        ("step", 100, 500, 0.02, 25500),
        ("step", 100, 500, 0.01, 25250),
    ],
)
def test_class_counts_have_the_published_totals(
    type: str, num_classes: int, n_max: int, ratio: float, total: int
) -> None:
    counts = class_counts(type, ratio, n_max, num_classes)
    assert sum(counts) == total
    assert len(counts) == num_classes
    assert (counts[0], counts[-1]) == (n_max, round(n_max * ratio))
    assert list(counts) == sorted(counts, reverse=True)


def test_class_counts_of_cifar10_exp_are_the_published_ones() -> None:
    assert class_counts("exp", 0.01, 5000, 10) == CIFAR10_EXP_001


@pytest.mark.parametrize(("n_max", "ratio", "smallest"), [(100, 0.29, 29), (100, 0.57, 57), (50, 0.14, 7), (7, 0.5, 3)])
@pytest.mark.parametrize("type", ["exp", "step"])
def test_class_counts_round_down_what_is_not_whole_but_for_rounding(
    type: str, n_max: int, ratio: float, smallest: int
) -> None:
    assert class_counts(type, ratio, n_max, 10)[-1] == smallest


@pytest.mark.parametrize(("num_classes", "expected"), [(1, (8,)), (2, (8, 2)), (3, (8, 4, 2))])
def test_class_counts_of_few_classes(num_classes: int, expected: tuple[int, ...]) -> None:
    assert class_counts("exp", 0.25, 8, num_classes) == expected


def test_class_counts_step_with_odd_classes_keeps_the_smaller_half_large() -> None:
    assert class_counts("step", 0.1, 50, 5) == (50, 50, 5, 5, 5)


def test_class_counts_none_and_ratio_one_keep_all() -> None:
    assert class_counts("none", 1.0, 7, 3) == class_counts("exp", 1.0, 7, 3) == class_counts("step", 1.0, 7, 3)
    assert class_counts("none", 1.0, 7, 3) == (7, 7, 7)


def test_class_counts_that_empty_a_class_name_it_and_the_way_out() -> None:
    with pytest.raises(UserError, match=r"got 0 of class 8: .* 40 images .* ratio 0\.01.*raise `imbalance\.ratio`"):
        class_counts("exp", 0.01, 40, 10)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


def test_subsample_keeps_each_count_in_rising_order() -> None:
    labels_N = labels_of([10, 20, 30])
    index_M = subsample(labels_N, (10, 5, 1), np.random.default_rng(1))
    assert index_M.dtype == np.int64
    assert np.bincount(labels_N[index_M]).tolist() == [10, 5, 1]
    assert (np.diff(index_M) > 0).all()


def test_subsample_is_decided_by_its_generator() -> None:
    labels_N = labels_of([50, 50])
    drawn = [subsample(labels_N, (9, 9), np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_subsample_of_smaller_counts_is_a_subset_of_that_of_larger() -> None:
    labels_N = labels_of([50, 50])
    small, large = (set(subsample(labels_N, counts, np.random.default_rng(3))) for counts in ((20, 5), (40, 10)))
    assert small < large


def test_subsample_draws_uniformly() -> None:
    labels_N = np.zeros(10, dtype=np.int64)
    rng = np.random.default_rng(0)
    times_kept = np.bincount(np.concatenate([subsample(labels_N, (5,), rng) for _ in range(2000)]))
    assert times_kept == pytest.approx(1000, abs=120)


def test_subsample_larger_than_a_class_is_refused() -> None:
    with pytest.raises(UserError, match="expected at least 11 images of class 1, got 10"):
        subsample(labels_of([10, 10]), (10, 11), np.random.default_rng(0))
