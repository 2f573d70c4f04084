"""Label noise: exact rates per clean class, the flips of each kind, purity, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from absgd.config.sections import NoiseType
from absgd.datasets import NoisyLabels, add_noise
from absgd.datasets.noise import CIFAR100_SUPERCLASSES, NOISES
from absgd.errors import UserError

COUNTS = (100, 41, 7, 1, 0)
SUPERCLASS_MEMBERS = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}
FINE_NAMES = sorted(name for members in SUPERCLASS_MEMBERS.values() for name in members.split())
CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def shuffled_labels(counts: Mapping[int, int] | tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def noisy(clean_N: np.ndarray, type: str, rate: float, num_classes: int, seed: int = 1) -> NoisyLabels:
    return add_noise(clean_N, type, rate, num_classes, np.random.default_rng(seed))


def changed_of_each_class(clean_N: np.ndarray, changed_N: np.ndarray, num_classes: int) -> list[int]:
    return np.bincount(clean_N[changed_N], minlength=num_classes).tolist()


def flips_of(type: str, num_classes: int) -> dict[int, int]:
    """Return, by clean class, the one class that its changed labels become."""
    clean_N = shuffled_labels((4,) * num_classes)
    noisy_N, changed_N = noisy(clean_N, type, 0.5, num_classes)
    flips = set(zip(clean_N[changed_N].tolist(), noisy_N[changed_N].tolist(), strict=True))
    assert len(dict(flips)) == len(flips), "a class turns into several"
    return dict(flips)


def superclass_of(label: int) -> str:
    return next(name for name, members in SUPERCLASS_MEMBERS.items() if FINE_NAMES[label] in members.split())


def test_table_has_every_noise_of_the_config() -> None:
    assert ["none", *NOISES] == list(get_args(NoiseType))


@settings(max_examples=60, deadline=None)
@given(
    type=st.sampled_from(["symmetric", "pair_flip"]),
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=12).map(tuple),
    rate=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 9),
)
def test_noise_changes_an_exact_fraction_of_every_class(
    type: str, counts: tuple[int, ...], rate: float, seed: int
) -> None:
    clean_N = shuffled_labels(counts, seed)
    noisy_N, changed_N = noisy(clean_N, type, rate, len(counts), seed)
    assert changed_of_each_class(clean_N, changed_N, len(counts)) == [round(rate * count) for count in counts]
    np.testing.assert_array_equal(changed_N, noisy_N != clean_N)
    assert noisy_N.dtype == np.int64
    assert set(noisy_N.tolist()) <= set(range(len(counts)))


@settings(max_examples=30, deadline=None)
@given(
    type=st.sampled_from(["cifar10_pairs", "cifar100_blocks", "cifar100_superclasses"]),
    rate=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 9),
)
def test_noise_of_one_data_set_changes_an_exact_fraction_of_the_classes_it_flips(
    type: str, rate: float, seed: int
) -> None:
    num_classes = 10 if type == "cifar10_pairs" else 100
    counts = np.random.default_rng(seed).integers(0, 40, size=num_classes).tolist()
    clean_N = shuffled_labels(tuple(counts), seed)
    noisy_N, changed_N = noisy(clean_N, type, rate, num_classes, seed)
    flipped = (9, 2, 3, 5, 4) if type == "cifar10_pairs" else range(100)
    assert changed_of_each_class(clean_N, changed_N, num_classes) == [
        round(rate * count) if label in flipped else 0 for label, count in enumerate(counts)
    ]
    np.testing.assert_array_equal(changed_N, noisy_N != clean_N)


def test_symmetric_noise_is_uniform_over_the_other_classes() -> None:
    clean_N = np.full(40_000, 2)
    noisy_N, changed_N = noisy(clean_N, "symmetric", 0.75, 5)
    assert changed_N.sum() == 30_000
    into = np.bincount(noisy_N[changed_N], minlength=5)
    assert into[2] == 0
    assert into[[0, 1, 3, 4]] == pytest.approx(7500, abs=300)


def test_symmetric_noise_between_two_classes_swaps() -> None:
    noisy_N, _ = noisy(np.array([0] * 10 + [1] * 10), "symmetric", 0.3, 2)
    assert (noisy_N[:10].sum(), noisy_N[10:].sum()) == (3, 7)


def test_symmetric_all_noise_draws_the_true_class_too() -> None:
    clean_N = np.full(40_000, 2)
    noisy_N, changed_N = noisy(clean_N, "symmetric_all", 0.75, 5)
    np.testing.assert_array_equal(changed_N, noisy_N != 2)
    assert changed_N.mean() == pytest.approx(0.75 * 4 / 5, abs=0.01)
    assert np.bincount(noisy_N[changed_N], minlength=5)[[0, 1, 3, 4]] == pytest.approx(6000, abs=300)


def test_symmetric_all_noise_draws_an_exact_fraction() -> None:
    # With this many classes the true one is hardly ever drawn.
    assert noisy(np.zeros(50, dtype=np.int64), "symmetric_all", 0.3, 5000).changed_N.sum() == 15


def test_pair_flip_goes_to_the_next_class_and_around() -> None:
    assert flips_of("pair_flip", 7) == {label: (label + 1) % 7 for label in range(7)}


def test_cifar10_pairs_flip_classes_that_look_alike() -> None:
    named = {CIFAR10_NAMES[label]: CIFAR10_NAMES[target] for label, target in flips_of("cifar10_pairs", 10).items()}
    assert named == {"truck": "automobile", "bird": "airplane", "cat": "dog", "dog": "cat", "deer": "horse"}


def test_cifar10_cats_and_dogs_swap_by_their_clean_labels() -> None:
    # Flipping cats first and then dogs among the labels already flipped leaves about 24 % of cats wrong at 40 %.
    clean_N = shuffled_labels((500,) * 10)
    noisy_N, _ = noisy(clean_N, "cifar10_pairs", 0.4, 10)
    assert [int((noisy_N[clean_N == label] == target).sum()) for label, target in ((3, 5), (5, 3))] == [200, 200]


def test_cifar100_blocks_rotate_five_label_ids() -> None:
    flips = flips_of("cifar100_blocks", 100)
    assert [flips[label] for label in (0, 1, 2, 3, 4, 5, 9, 94, 95, 99)] == [1, 2, 3, 4, 0, 6, 5, 90, 96, 95]
    assert sorted(flips.values()) == list(range(100))


def test_cifar100_blocks_keep_six_of_a_hundred_flips_inside_a_superclass() -> None:
    flips = flips_of("cifar100_blocks", 100)
    assert sum(superclass_of(label) == superclass_of(target) for label, target in flips.items()) == 6


def test_cifar100_superclasses_are_twenty_of_five_by_name() -> None:
    by_name = {name: " ".join(FINE_NAMES[label] for label in labels) for name, labels in CIFAR100_SUPERCLASSES.items()}
    assert by_name == SUPERCLASS_MEMBERS
    assert {len(labels) for labels in CIFAR100_SUPERCLASSES.values()} == {5}
    assert sorted(label for labels in CIFAR100_SUPERCLASSES.values() for label in labels) == list(range(100))


def test_cifar100_superclasses_rotate_inside_the_superclass_in_index_order() -> None:
    flips = flips_of("cifar100_superclasses", 100)
    assert sorted(flips.values()) == list(range(100))
    for label, target in flips.items():
        assert superclass_of(label) == superclass_of(target)
        members = sorted(other for other in range(100) if superclass_of(other) == superclass_of(label))
        assert target == next((other for other in members if other > label), members[0])


def clean_labels_for(type: str) -> tuple[np.ndarray, int]:
    num_classes = NOISES[type].num_classes or 6
    return shuffled_labels((8,) * num_classes), num_classes


@pytest.mark.parametrize("type", NOISES)
def test_noise_writes_nothing_to_the_clean_labels(type: str) -> None:
    clean_N, num_classes = clean_labels_for(type)
    untouched_N = clean_N.copy()
    clean_N.setflags(write=False)
    noisy_N, _ = noisy(clean_N, type, 0.5, num_classes)
    np.testing.assert_array_equal(clean_N, untouched_N)
    assert not np.shares_memory(noisy_N, clean_N)


@pytest.mark.parametrize("type", NOISES)
def test_noise_is_decided_by_its_generator(type: str) -> None:
    clean_N, num_classes = clean_labels_for(type)
    drawn = [noisy(clean_N, type, 0.5, num_classes, seed).labels_N.tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("type", NOISES)
def test_noise_at_rate_zero_changes_nothing(type: str) -> None:
    clean_N, num_classes = clean_labels_for(type)
    assert not noisy(clean_N, type, 0.0, num_classes).changed_N.any()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_noise_at_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(UserError, match=r"expected `rate` in \[0, 1\), got .* \(noise\.rate\)"):
        noisy(np.arange(4), "symmetric", rate, 4)


@pytest.mark.parametrize(("type", "wanted"), [("cifar10_pairs", 10), ("cifar100_blocks", 100)])
def test_noise_of_one_data_set_is_refused_with_other_classes(type: str, wanted: int) -> None:
    with pytest.raises(UserError, match=rf"expected {wanted} classes for noise `{type}`, got 5 \(noise\.type\)"):
        noisy(shuffled_labels(COUNTS), type, 0.2, 5)


@pytest.mark.parametrize("type", ["symmetric", "symmetric_all", "pair_flip"])
def test_noise_of_a_single_class_is_refused(type: str) -> None:
    with pytest.raises(UserError, match=r"expected at least 2 classes .* got 1 \(noise\.type\)"):
        noisy(np.zeros(4, dtype=np.int64), type, 0.2, 1)
