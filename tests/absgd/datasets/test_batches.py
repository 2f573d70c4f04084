"""Batches against plain loops: crop, flip, normalisation, order, replay."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batch, Batches, Images
from absgd.datasets.batches import crop_padded, flip_some
from absgd.errors import UserError
from tests.contracts.datasets import CPU, dataset_config

SIDE = 8
NUM_IMAGES = 37


def make_images() -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, size=(NUM_IMAGES, 1, SIDE, SIDE), dtype=np.uint8)  # no 0: padding can be told apart
    return Images(pixels, rng.integers(10, size=NUM_IMAGES))


def config_of(pad: int, flip: bool) -> RunConfig:
    return dataset_config("digits", **{"augmentation.pad": pad, "augmentation.flip": flip})


def epoch_of(pad: int = 2, flip: bool = True, seed: int = 0, epoch: int = 0, batch_size: int = 10) -> list[Batch]:
    return list(Batches(make_images(), config_of(pad, flip), CPU).training(seed, epoch, batch_size))


def joined(batches: list[Batch], field: str) -> Any:
    return torch.cat([getattr(batch, field) for batch in batches]).numpy()


def pixels_of(batches: list[Batch]) -> np.ndarray:
    """The uint8 images that were normalised."""
    spec = DATASETS["digits"]
    return np.rint((joined(batches, "images_BCHW") * spec.std[0] + spec.mean[0]) * 255).astype(np.uint8)


def crop_by_loop(image_CHW: np.ndarray, pad: int, row: int, column: int) -> np.ndarray:
    result = np.zeros_like(image_CHW)
    channels, height, width = image_CHW.shape
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                source_y, source_x = y + row - pad, x + column - pad
                if 0 <= source_y < height and 0 <= source_x < width:
                    result[channel, y, x] = image_CHW[channel, source_y, source_x]
    return result


@pytest.mark.parametrize("pad", [1, 3])
def test_crop_padded_equals_a_loop(pad: int) -> None:
    rng = np.random.default_rng(1)
    images_BCHW = rng.integers(256, size=(9, 3, 5, 6), dtype=np.uint8)
    shifts_B2 = rng.integers(2 * pad + 1, size=(9, 2))
    shifts_B2[:4] = [[0, 0], [0, 2 * pad], [2 * pad, 0], [pad, pad]]
    cropped = crop_padded(torch.from_numpy(images_BCHW), pad, torch.from_numpy(shifts_B2))
    expected = [crop_by_loop(image, pad, *shift) for image, shift in zip(images_BCHW, shifts_B2, strict=True)]
    assert cropped.dtype == torch.uint8
    np.testing.assert_array_equal(cropped.numpy(), np.stack(expected))
    np.testing.assert_array_equal(cropped[3].numpy(), images_BCHW[3])


def test_flip_some_equals_a_loop() -> None:
    rng = np.random.default_rng(2)
    images_BCHW, flips_B = rng.integers(256, size=(6, 2, 4, 5), dtype=np.uint8), np.array([0, 1, 1, 0, 1, 0], bool)
    flipped = flip_some(torch.from_numpy(images_BCHW), torch.from_numpy(flips_B))
    expected = [image[:, :, ::-1] if flip else image for image, flip in zip(images_BCHW, flips_B, strict=True)]
    np.testing.assert_array_equal(flipped.numpy(), np.stack(expected))


@pytest.mark.parametrize(("pad", "flip"), [(0, False), (0, True), (2, False), (2, True)])
def test_training_images_are_crops_and_flips_of_their_originals(pad: int, flip: bool) -> None:
    batches = epoch_of(pad, flip)
    originals = make_images().images_NCHW[joined(batches, "index_B")]
    used = []
    for image, original in zip(pixels_of(batches), originals, strict=True):
        ways = {
            (row, column, mirrored): crop_by_loop(original, pad, row, column)[:, :, :: -1 if mirrored else 1]
            for row in range(2 * pad + 1)
            for column in range(2 * pad + 1)
            for mirrored in ((False, True) if flip else (False,))
        }
        used += [way for way, candidate in ways.items() if np.array_equal(image, candidate)]
    assert len(used) == NUM_IMAGES
    assert len({way[:2] for way in used}) > 10 * bool(pad)
    assert {way[2] for way in used} == ({False, True} if flip else {False})


def test_padding_is_black_before_normalisation() -> None:
    spec = DATASETS["digits"]
    black = (0 - spec.mean[0]) / spec.std[0]
    values = joined(epoch_of(pad=2, flip=False), "images_BCHW")
    assert values.min() == pytest.approx(black, rel=1e-6)


def test_null_augmentation_is_the_standard_of_the_data_set() -> None:
    config = dataset_config("digits")
    standard = list(Batches(make_images(), config, CPU).training(0, 0, 10))
    np.testing.assert_array_equal(pixels_of(standard), pixels_of(epoch_of(pad=1, flip=False)))


def test_order_is_a_permutation_and_the_last_batch_smaller() -> None:
    batches = epoch_of()
    assert [len(batch.labels_B) for batch in batches] == [10, 10, 10, 7]
    index_N = joined(batches, "index_B")
    assert sorted(index_N) == list(range(NUM_IMAGES))
    assert list(index_N) != list(range(NUM_IMAGES))
    np.testing.assert_array_equal(joined(batches, "labels_B"), make_images().labels_N[index_N])


def test_epoch_replays_and_differs_from_other_epochs_and_seeds() -> None:
    first = epoch_of(seed=3, epoch=5)
    torch.manual_seed(99)
    np.testing.assert_array_equal(pixels_of(first), pixels_of(epoch_of(seed=3, epoch=5)))
    for seed, epoch in ((3, 6), (4, 5)):
        other = epoch_of(seed=seed, epoch=epoch)
        assert joined(first, "index_B").tolist() != joined(other, "index_B").tolist()


def test_augmentation_differs_between_epochs_and_seeds() -> None:
    one = make_images().images_NCHW[:1]
    same = Images(np.repeat(one, NUM_IMAGES, axis=0), np.zeros(NUM_IMAGES, dtype=np.int64))
    batches = Batches(same, config_of(pad=2, flip=False), CPU)
    shown = [pixels_of(list(batches.training(seed, epoch, 10))).tobytes() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len(set(shown)) == 3


def test_augmentation_does_not_depend_on_the_batch_size() -> None:
    np.testing.assert_array_equal(pixels_of(epoch_of(batch_size=10)), pixels_of(epoch_of(batch_size=64)))


def test_order_does_not_depend_on_the_augmentation() -> None:
    orders = [joined(epoch_of(pad, flip), "index_B").tolist() for pad, flip in ((0, False), (3, True))]
    assert orders[0] == orders[1]


def test_evaluation_goes_in_order_without_augmentation() -> None:
    batches = list(Batches(make_images(), config_of(pad=2, flip=True), CPU).evaluation(batch_size=16))
    assert joined(batches, "index_B").tolist() == list(range(NUM_IMAGES))
    np.testing.assert_array_equal(pixels_of(batches), make_images().images_NCHW)


def test_read_only_arrays_are_shared_without_a_warning_and_not_written_to() -> None:
    images, untouched = make_images(), make_images()
    images.images_NCHW.setflags(write=False)
    images.labels_N.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = Batches(images, config_of(pad=2, flip=True), CPU)
    assert batches._images_NCHW.data_ptr() == images.images_NCHW.ctypes.data
    assert batches._labels_N.data_ptr() == images.labels_N.ctypes.data
    for batch in (*batches.training(0, 0, 10), *batches.evaluation(10)):
        batch.images_BCHW.zero_()
        batch.labels_B.zero_()
    np.testing.assert_array_equal(images.images_NCHW, untouched.images_NCHW)
    np.testing.assert_array_equal(images.labels_N, untouched.labels_N)


def test_padding_beyond_the_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"augmentation\.pad"):
        Batches(make_images(), config_of(pad=8, flip=False), CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_batches_on_a_gpu_replay_there() -> None:
    batches = Batches(make_images(), config_of(pad=2, flip=True), torch.device("cuda"))
    first, second = (list(batches.training(0, 1, 10)) for _ in range(2))
    assert all(torch.equal(a.images_BCHW, b.images_BCHW) for a, b in zip(first, second, strict=True))
    assert first[0].images_BCHW.is_cuda
    assert sorted(torch.cat([batch.index_B for batch in first]).tolist()) == list(range(NUM_IMAGES))
