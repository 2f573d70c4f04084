"""The table of data sets."""

from __future__ import annotations

import numpy as np
import pytest

from absgd.config.sections import AugmentationConfig, DataConfig
from absgd.datasets import DATASETS, Images, read_part
from absgd.datasets.in_memory import DEBIAN_FASHION_MNIST
from absgd.datasets.registered_dataset import augmentation_of
from absgd.errors import UserError


@pytest.mark.parametrize(
    ("name", "num_classes", "channels", "side", "pad", "flip"),
    [
        ("digits", 10, 1, 8, 1, False),
        ("fashion_mnist", 10, 1, 28, 2, True),
        ("cifar10", 10, 3, 32, 4, True),
        ("cifar100", 100, 3, 32, 4, True),
    ],
)
def test_table_gives_sizes_and_standard_augmentation(
    name: str, num_classes: int, channels: int, side: int, pad: int, flip: bool
) -> None:
    spec = DATASETS[name]
    assert (spec.num_classes, spec.channels, spec.side, spec.pad, spec.flip) == (num_classes, channels, side, pad, flip)
    assert augmentation_of(AugmentationConfig(), spec, side) == (pad, flip)


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        pytest.param(
            "fashion_mnist",
            marks=[
                pytest.mark.fashion_mnist,
                pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="dataset-fashion-mnist is not installed"),
            ],
        ),
    ],
)
def test_mean_and_std_equal_the_training_images(name: str) -> None:
    spec = DATASETS[name]
    images = read_part(DataConfig(name=name), "train")
    assert isinstance(images, Images)
    scaled_NCHW = images.images_NCHW / np.float32(255)
    assert scaled_NCHW.mean(axis=(0, 2, 3), dtype=np.float64) == pytest.approx(spec.mean, abs=5e-5)
    assert scaled_NCHW.std(axis=(0, 2, 3), dtype=np.float64) == pytest.approx(spec.std, abs=5e-5)


def test_augmentation_given_replaces_the_standard() -> None:
    assert augmentation_of(AugmentationConfig(pad=0, flip=True), DATASETS["digits"], 8) == (0, True)
    assert augmentation_of(AugmentationConfig(flip=False), DATASETS["cifar10"], 32) == (4, False)


def test_padding_as_large_as_the_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected `pad` < 8 .*got 8 \(augmentation\.pad\)"):
        augmentation_of(AugmentationConfig(pad=8), DATASETS["digits"], 8)
