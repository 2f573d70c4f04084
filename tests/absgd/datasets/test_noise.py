"""Label noise: exact, uniform over the other classes, pure."""

from __future__ import annotations

import numpy as np
import pytest

from absgd.datasets import add_noise
from absgd.datasets.noise import NOISES

COUNTS = (100, 41, 7, 1, 0)


def clean_labels() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))


@pytest.mark.parametrize("type", NOISES)
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 0.73, 0.99])
def test_noise_changes_an_exact_fraction_of_every_class(type: str, rate: float) -> None:
    clean_N = clean_labels()
    noisy_N, changed_N = add_noise(clean_N, type, rate, len(COUNTS), np.random.default_rng(1))
    assert [int((changed_N & (clean_N == label)).sum()) for label in range(len(COUNTS))] == [
        round(rate * count) for count in COUNTS
    ]
    np.testing.assert_array_equal(changed_N, noisy_N != clean_N)
    assert noisy_N.dtype == np.int64
    assert noisy_N.min() >= 0
    assert noisy_N.max() < len(COUNTS)


def test_noise_writes_nothing_to_the_clean_labels() -> None:
    clean_N = clean_labels()
    clean_N.setflags(write=False)
    noisy_N, _ = add_noise(clean_N, "symmetric", 0.5, len(COUNTS), np.random.default_rng(1))
    np.testing.assert_array_equal(clean_N, clean_labels())
    assert not np.shares_memory(noisy_N, clean_N)


def test_noise_is_decided_by_its_generator() -> None:
    drawn = [
        add_noise(clean_labels(), "symmetric", 0.5, len(COUNTS), np.random.default_rng(seed)).labels_N.tolist()
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_symmetric_noise_is_uniform_over_the_other_classes() -> None:
    clean_N = np.full(40_000, 2)
    noisy_N, changed_N = add_noise(clean_N, "symmetric", 0.75, 5, np.random.default_rng(0))
    assert changed_N.sum() == 30_000
    into = np.bincount(noisy_N[changed_N], minlength=5)
    assert into[2] == 0
    assert into[[0, 1, 3, 4]] == pytest.approx(7500, abs=300)


def test_noise_between_two_classes_swaps() -> None:
    noisy_N, _ = add_noise(np.array([0] * 10 + [1] * 10), "symmetric", 0.3, 2, np.random.default_rng(0))
    assert (noisy_N[:10].sum(), noisy_N[10:].sum()) == (3, 7)
