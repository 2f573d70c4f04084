"""Batches against plain loops: crop, flip, rotation, normalisation, order, replay."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batch, Batches, Images, build_batches
from absgd.datasets.batch_shares import Share
from absgd.datasets.batches import crop_padded, flip_some, rotate
from absgd.errors import UserError
from absgd.randomness import torch_generator
from tests.contracts.datasets import CPU, dataset_config
from tests.support.gpus import needs_gpu

SIDE = 8
NUM_IMAGES = 37


def make_images() -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, size=(NUM_IMAGES, 1, SIDE, SIDE), dtype=np.uint8)  # no 0, which marks padding
    return Images(pixels, rng.integers(10, size=NUM_IMAGES))


def config_of(pad: int, flip: bool) -> RunConfig:
    return dataset_config("digits", **{"augmentation.pad": pad, "augmentation.flip": flip})


def epoch_of(pad: int = 2, flip: bool = True, seed: int = 0, epoch: int = 0, batch_size: int = 10) -> list[Batch]:
    return list(Batches(make_images(), config_of(pad, flip), CPU).training(seed, epoch, batch_size))


def joined(batches: list[Batch], field: str) -> Any:
    return torch.cat([getattr(batch, field) for batch in batches]).numpy()


@pytest.mark.parametrize("size", [2, 3, 8])
def test_shares_of_a_batch_are_its_images_with_the_labels_of_all(size: int) -> None:
    images, config = make_images(), config_of(2, True)
    whole = Batches(images, config, CPU)
    shares = [Batches(images, config, CPU, Share(rank, size)) for rank in range(size)]
    for make in (lambda one: one.training(1, 2, 10), lambda one: one.evaluation(10)):
        for expected, *parts in zip(make(whole), *map(make, shares), strict=True):
            assert torch.equal(torch.cat([part.images_BCHW for part in parts]), expected.images_BCHW)
            assert max(len(part.images_BCHW) for part in parts) <= -(-len(expected.labels_B) // size)
            for part in parts:
                assert torch.equal(part.labels_B, expected.labels_B)
                assert torch.equal(part.index_B, expected.index_B)


def pixels_of(batches: list[Batch]) -> np.ndarray:
    """Return the uint8 images before normalisation."""
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


def rotated_by_loop(image_CHW: np.ndarray, angle_deg: float) -> np.ndarray:
    """Rotate counter-clockwise by bilinear interpolation in float64, zeros outside."""
    channels, height, width = image_CHW.shape
    padded = np.zeros((channels, height + 2, width + 2))
    padded[:, 1:-1, 1:-1] = image_CHW
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    result = np.zeros(image_CHW.shape)
    for row in range(height):
        for column in range(width):
            x, y = column - (width - 1) / 2, row - (height - 1) / 2
            source_x = x * cos - y * sin + (width - 1) / 2 + 1
            source_y = x * sin + y * cos + (height - 1) / 2 + 1
            left, top = int(np.floor(source_x)), int(np.floor(source_y))
            for near_y, near_x in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= near_y < height + 2 and 0 <= near_x < width + 2:
                    share = (1 - abs(source_y - near_y)) * (1 - abs(source_x - near_x))
                    result[:, row, column] += share * padded[:, near_y, near_x]
    return result


@pytest.mark.parametrize(("height", "width"), [(7, 7), (8, 8), (5, 9)])
def test_rotate_equals_a_loop(height: int, width: int) -> None:
    rng = np.random.default_rng(3)
    images_BCHW = rng.integers(256, size=(7, 3, height, width), dtype=np.uint8)
    angles = [0.0, 20.0, -20.0, 7.5, 45.0, 133.0, -180.0]
    rotated = rotate(torch.from_numpy(images_BCHW), torch.tensor(angles))
    expected = [rotated_by_loop(image, angle) for image, angle in zip(images_BCHW, angles, strict=True)]
    assert rotated.dtype == torch.float32
    np.testing.assert_allclose(rotated.numpy(), np.stack(expected), atol=2e-3)


def test_rotate_by_right_angles_turns_counter_clockwise() -> None:
    image_CHW = np.random.default_rng(4).integers(256, size=(2, 6, 6), dtype=np.uint8)
    images_BCHW = torch.from_numpy(np.stack([image_CHW] * 3))
    rotated = rotate(images_BCHW, torch.tensor([90.0, 180.0, -90.0])).numpy()
    for turned, quarters in zip(rotated, (1, 2, 3), strict=True):
        np.testing.assert_allclose(turned, np.rot90(image_CHW, quarters, axes=(1, 2)), atol=2e-3)


def rotated_epoch(rotation_deg: float, pad: int = 2, flip: bool = True, batch_size: int = 10) -> list[Batch]:
    config = config_of(pad, flip).with_values({"augmentation.rotation_deg": rotation_deg})
    return list(Batches(make_images(), config, CPU).training(0, 0, batch_size))


def values_of(batches: list[Batch]) -> np.ndarray:
    """Return the grey values before normalisation, in [0, 255]."""
    spec = DATASETS["digits"]
    return (joined(batches, "images_BCHW").astype(np.float64) * spec.std[0] + spec.mean[0]) * 255


def test_rotation_turns_the_cropped_and_flipped_images_by_angles_up_to_the_limit() -> None:
    plain, rotated = pixels_of(epoch_of()), values_of(rotated_epoch(30.0))
    angles_A = torch.arange(-35, 35.01, 0.1)
    best = []
    for before, after in zip(plain, rotated, strict=True):
        candidates_ACHW = rotate(torch.from_numpy(before).expand(len(angles_A), -1, -1, -1), angles_A).numpy()
        distance_A = np.abs(candidates_ACHW - after).max(axis=(1, 2, 3))
        assert distance_A.min() < 3
        best.append(float(angles_A[distance_A.argmin()]))
    assert max(map(abs, best)) <= 30.1
    assert min(best) < -15 < 15 < max(best)


def test_rotation_of_zero_leaves_the_draws_of_crop_and_flip_as_they_were() -> None:
    batches = list(Batches(make_images(), config_of(2, True), CPU).training(seed=0, epoch=0, batch_size=NUM_IMAGES))
    generator = torch_generator(0, "augmentation", 0)
    shifts_N2 = torch.randint(5, (NUM_IMAGES, 2), generator=generator)
    flips_N = torch.rand(NUM_IMAGES, generator=generator) < 0.5
    originals = torch.from_numpy(make_images().images_NCHW)[batches[0].index_B]
    expected = flip_some(crop_padded(originals, 2, shifts_N2), flips_N)
    np.testing.assert_array_equal(pixels_of(batches), expected.numpy())


def test_rotation_does_not_depend_on_the_batch_size() -> None:
    np.testing.assert_allclose(values_of(rotated_epoch(20.0)), values_of(rotated_epoch(20.0, batch_size=64)), atol=1e-3)


def test_rotation_replays() -> None:
    np.testing.assert_array_equal(values_of(rotated_epoch(20.0)), values_of(rotated_epoch(20.0)))


def test_evaluation_is_not_rotated() -> None:
    config = config_of(2, True).with_values({"augmentation.rotation_deg": 90.0})
    batches = list(Batches(make_images(), config, CPU).evaluation(batch_size=16))
    np.testing.assert_array_equal(pixels_of(batches), make_images().images_NCHW)


def test_mean_and_std_of_the_config_replace_the_data_sets() -> None:
    config = config_of(0, False).with_values({"data.mean": [0.25], "data.std": [0.5]})
    images_NCHW = joined(list(Batches(make_images(), config, CPU).evaluation(16)), "images_BCHW")
    np.testing.assert_allclose(images_NCHW, (make_images().images_NCHW / 255 - 0.25) / 0.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "mean", "std"), [("mean", [0.1, 0.2], [1.0]), ("std", [0.1], [1.0, 1.0, 1.0])])
def test_mean_and_std_of_other_channels_are_refused(name: str, mean: list[float], std: list[float]) -> None:
    config = config_of(0, False).with_values({"data.mean": mean, "data.std": std})
    with pytest.raises(UserError, match=rf"expected `{name}` of 1 values .* got [23] \(data\.{name}\)"):
        Batches(make_images(), config, CPU)


def test_build_batches_gives_the_batches_of_images_in_memory() -> None:
    built = build_batches(make_images(), config_of(2, True), CPU)
    np.testing.assert_array_equal(pixels_of(list(built.training(0, 0, 10))), pixels_of(epoch_of()))


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


@needs_gpu
def test_batches_on_a_gpu_replay_there() -> None:
    batches = Batches(make_images(), config_of(pad=2, flip=True), torch.device("cuda"))
    first, second = (list(batches.training(0, 1, 10)) for _ in range(2))
    assert all(torch.equal(a.images_BCHW, b.images_BCHW) for a, b in zip(first, second, strict=True))
    assert first[0].images_BCHW.is_cuda
    assert sorted(torch.cat([batch.index_B for batch in first]).tolist()) == list(range(NUM_IMAGES))
