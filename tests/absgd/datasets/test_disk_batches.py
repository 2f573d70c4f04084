"""Batches of images on disk: equal for any number of workers, right positions, crops, broken files, a complete run."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from absgd.config import RunConfig
from absgd.datasets import (
    DATASETS,
    Batch,
    Batches,
    CommonImages,
    DiskBatches,
    ImageFiles,
    Images,
    build_batches,
    load_splits,
    load_test,
)
from absgd.datasets.batch_shares import Share
from absgd.datasets.disk_batches import EVALUATION_PIXELS, evaluation_transform, training_transform
from absgd.errors import UserError
from absgd.training import Trainer
from tests.contracts.datasets import CPU, dataset_config
from tests.support.gpus import needs_gpu
from tests.support.small_files import write_image, write_imagefolder, write_listed

SIDE = 16


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_imagefolder(tmp_path_factory.mktemp("own"), num_classes=3, per_class=9)


def config_of(root: Path, **values: Any) -> RunConfig:
    return dataset_config("imagefolder", root, **{"data.side": SIDE, "data.workers": 0, **values})


def train_files(root: Path) -> ImageFiles:
    images = load_splits(config_of(root)).train
    assert isinstance(images, ImageFiles)
    return images


def epoch_of(root: Path, seed: int = 0, epoch: int = 0, batch_size: int = 5, **values: Any) -> list[Batch]:
    config = config_of(root, **values)
    return list(DiskBatches(train_files(root), config, CPU).training(seed, epoch, batch_size))


def joined(batches: list[Batch], field: str) -> Any:
    return torch.cat([getattr(batch, field) for batch in batches]).numpy()


def assert_equal(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_runs_in_one_process_read_images_once_and_get_the_batches_of_runs_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    config, files = config_of(root, **{"data.workers": workers}), train_files(root)
    alone = list(DiskBatches(files, config, CPU).training(0, 0, 5))
    passes: list[int] = []
    read = DiskBatches._read
    monkeypatch.setattr(DiskBatches, "_read", lambda self, *given: passes.append(1) or read(self, *given))
    images = CommonImages()
    runs = [images.batches(files, config, CPU).draws(0, 0, 5) for _ in range(2)]
    one, other = zip(*zip(*runs, strict=True), strict=True)
    assert_equal(list(one), alone)
    assert_equal(list(other), alone)
    assert len(passes) == 1


def test_build_batches_follows_where_the_images_are(root: Path) -> None:
    assert isinstance(build_batches(train_files(root), config_of(root), CPU), DiskBatches)
    in_memory = Images(np.zeros((2, 1, 8, 8), dtype=np.uint8), np.zeros(2, dtype=np.int64))
    assert isinstance(build_batches(in_memory, dataset_config("digits"), CPU), Batches)


@pytest.mark.parametrize(("size", "workers"), [(2, 0), (4, 0), (4, 2)])  # one of four has none of the last three
def test_shares_of_a_batch_are_its_images_with_the_labels_of_all(root: Path, size: int, workers: int) -> None:
    config = config_of(root, **{"data.workers": workers})
    files = train_files(root)
    whole = DiskBatches(files, config, CPU)
    shares = [DiskBatches(files, config, CPU, Share(rank, size)) for rank in range(size)]
    for make in (lambda one: one.training(1, 2, 7), lambda one: one.evaluation(5)):  # of 18 images
        steps = [list(make(one)) for one in shares]
        joined_steps = [
            Batch(torch.cat([one.images_BCHW for one in parts]), parts[0].labels_B, parts[0].index_B)
            for parts in zip(*steps, strict=True)
        ]
        assert_equal(joined_steps, list(make(whole)))


def test_share_reads_only_its_own_images(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(
        "absgd.datasets.disk_batches.read_rgb", lambda path: (read.append(path), Image.new("RGB", (20, 20)))[1]
    )
    files = train_files(root)
    batches = list(DiskBatches(files, config_of(root), CPU, Share(1, 2)).training(0, 0, 6))
    assert len(read) == sum(len(batch.images_BCHW) for batch in batches) == len(files) / 2


def test_workers_give_the_batches_of_the_training_process(root: Path) -> None:
    augmentation = {"augmentation.rotation_deg": 20.0}
    assert_equal(epoch_of(root, **augmentation), epoch_of(root, **augmentation, **{"data.workers": 2}))
    alone, helped = (DiskBatches(train_files(root), config_of(root, **{"data.workers": n}), CPU) for n in (0, 2))
    assert_equal(list(alone.evaluation(5)), list(helped.evaluation(5)))


def test_workers_are_not_forked_from_the_training_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork would inherit CUDA, which does not survive it, and the locks of other threads."""
    monkeypatch.setattr("os.fork", lambda: pytest.fail("the training process was forked"))
    assert len(epoch_of(root, **{"data.workers": 1})) == 4


def test_index_maps_positions_to_images(root: Path) -> None:
    images, still = train_files(root), {"augmentation.pad": 0, "augmentation.flip": False}
    shown = joined(list(DiskBatches(images, config_of(root), CPU).evaluation(4)), "images_BCHW")
    batches = epoch_of(root, **still)
    index_N = joined(batches, "index_B")
    assert index_N.dtype == np.int64
    assert sorted(index_N) == list(range(18))
    assert list(index_N) != list(range(18))
    np.testing.assert_array_equal(joined(batches, "images_BCHW"), shown[index_N])
    np.testing.assert_array_equal(joined(batches, "labels_B"), images.labels_N[index_N])


def test_labels_match_the_given_images(root: Path) -> None:
    images = train_files(root)
    swapped = images.take(np.arange(len(images)), 2 - images.labels_N)
    batches = list(DiskBatches(swapped, config_of(root), CPU).evaluation(4))
    assert joined(batches, "labels_B").tolist() == (2 - images.labels_N).tolist()


def test_epoch_replays_and_differs_from_other_epochs_and_seeds(root: Path) -> None:
    first = epoch_of(root, seed=3, epoch=5)
    torch.manual_seed(99)
    assert_equal(first, epoch_of(root, seed=3, epoch=5))
    for seed, epoch in ((3, 6), (4, 5)):
        other = epoch_of(root, seed=seed, epoch=epoch)
        assert joined(first, "index_B").tolist() != joined(other, "index_B").tolist()


def test_augmentation_does_not_depend_on_the_batch_size(root: Path) -> None:
    small, large = epoch_of(root, batch_size=4), epoch_of(root, batch_size=18)
    np.testing.assert_array_equal(joined(small, "images_BCHW"), joined(large, "images_BCHW"))


def test_every_place_and_epoch_draws_its_own_augmentation(tmp_path: Path) -> None:
    """All files are equal, so that images differ by augmentation only."""
    pixels = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    for label, number in itertools.product(range(2), range(6)):
        write_image(tmp_path / "train" / str(label) / f"{number}.png", pixels)
    config = config_of(tmp_path, **{"data.val_per_class": 1, "data.on_duplicate": "keep"})
    batches = DiskBatches(load_splits(config).train, config, CPU)  # type: ignore[arg-type]
    images = [image.numpy().tobytes() for e in range(2) for batch in batches.training(0, e, 4) for image in batch[0]]
    assert len(images) == len(set(images)) == 20


def test_global_generators_are_left_alone(root: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for workers in (0, 1):
        epoch_of(root, **{"data.workers": workers})
    assert torch.equal(torch.get_rng_state(), before)


def test_resampling_draws_with_replacement(root: Path) -> None:
    index_N = joined(epoch_of(root, **{"class_balance": {"type": "resample"}}), "index_B")
    assert len(index_N) == 18 > len(set(index_N))


# Transforms, on an image whose pixels encode their position.


def gradient(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([columns, rows, np.full_like(rows, 255)], axis=2).astype(np.uint8))


@pytest.mark.parametrize(("width", "height"), [(256, 256), (400, 256), (64, 64), (30, 90)])
@pytest.mark.parametrize("name", ["imagefolder", "clothing1m", "tiny_imagenet"])
def test_transforms_give_the_side_asked_for(name: Any, width: int, height: int) -> None:
    config = dataset_config(name, "x", **{"data.side": 56})
    for transform in (training_transform(config, DATASETS[name]), evaluation_transform(config, DATASETS[name])):
        pixels = transform(gradient(width % 256, height % 256) if width < 256 else gradient(width, height))
        assert (pixels.shape, pixels.dtype) == ((3, 56, 56), torch.uint8)


def test_evaluation_shows_the_centre_at_256_over_224() -> None:
    transform = evaluation_transform(dataset_config("clothing1m", "x"), DATASETS["clothing1m"])
    pixels = transform(gradient(256, 256))
    np.testing.assert_array_equal(pixels[0], np.broadcast_to(np.arange(16, 240), (224, 224)))
    np.testing.assert_array_equal(pixels[1], np.broadcast_to(np.arange(16, 240)[:, None], (224, 224)))


def test_small_images_are_evaluated_whole() -> None:
    transform = evaluation_transform(dataset_config("tiny_imagenet", "x"), DATASETS["tiny_imagenet"])
    np.testing.assert_array_equal(transform(gradient(64, 64))[0], np.broadcast_to(np.arange(64), (64, 64)))


def corners(transform: Callable[[Image.Image], torch.Tensor], image: Image.Image, times: int = 60) -> set[Any]:
    """Return the top left and top right pixels of augmented images: column, row, and blue (0 in padding only)."""
    torch.manual_seed(0)
    return {tuple(transform(image)[:, 0, [0, -1]].flatten().tolist()) for _ in range(times)}


def test_clothing1m_crops_at_native_scale_and_flips() -> None:
    seen = corners(training_transform(dataset_config("clothing1m", "x"), DATASETS["clothing1m"]), gradient(256, 256))
    left, right, row = zip(*[corner[:3] for corner in seen], strict=True)
    assert {abs(a - b) for a, b in zip(left, right, strict=True)} == {223}
    assert {a < b for a, b in zip(left, right, strict=True)} == {True, False}
    assert max(row) <= 32
    assert len(set(row)) > 10


def test_tiny_imagenet_pads_by_eight_and_flips() -> None:
    transform = training_transform(dataset_config("tiny_imagenet", "x"), DATASETS["tiny_imagenet"])
    seen = corners(transform, gradient(64, 64))
    assert {corner[4] for corner in seen} == {0, 255}
    assert max(corner[2] for corner in seen) == 8


def test_padding_given_replaces_the_standard_crop() -> None:
    values = {"data.side": 64, "augmentation.pad": 4, "augmentation.flip": False}
    config = dataset_config("imagefolder", "x", **values)
    whole = evaluation_transform(config, DATASETS["imagefolder"])(gradient(64, 64))
    transform = training_transform(config, DATASETS["imagefolder"])
    torch.manual_seed(0)
    for _ in range(20):
        pixels = transform(gradient(64, 64))
        places = [
            (row, column)
            for row in range(-4, 5)
            for column in range(-4, 5)
            if torch.equal(pixels[:, 4:-4, 4:-4], whole[:, 4 + row : 60 + row, 4 + column : 60 + column])
        ]
        assert len(places) == 1


@pytest.mark.parametrize("name", ["imagefolder", "clothing1m", "tiny_imagenet"])
def test_whole_images_are_resized_in_both_directions(name: Any) -> None:
    settings = {"data.side": 32, "data.resize": "whole", "augmentation.pad": 0, "augmentation.flip": False}
    config, spec = dataset_config(name, "x", **settings), DATASETS[name]
    pixels = evaluation_transform(config, spec)(gradient(128, 64))
    assert pixels.shape == (3, 32, 32)
    assert pixels[0, 0, 0] < 4
    assert pixels[0, 0, -1] > 123
    assert pixels[1, -1, 0] > 61
    assert torch.equal(training_transform(config, spec)(gradient(128, 64)), pixels)


def test_whole_images_are_padded_and_flipped_as_asked() -> None:
    settings = {"data.side": 64, "data.resize": "whole", "augmentation.pad": 3}
    transform = training_transform(dataset_config("imagefolder", "x", **settings), DATASETS["imagefolder"])
    seen = corners(transform, gradient(64, 64))
    assert {corner[4] for corner in seen} == {0, 255}
    assert max(corner[2] for corner in seen) == 3


def test_rotation_turns_only_when_asked() -> None:
    values = {"data.side": 64, "augmentation.pad": 0, "augmentation.flip": False}
    still, turned = (
        training_transform(
            dataset_config("imagefolder", "x", **values, **{"augmentation.rotation_deg": degrees}),
            DATASETS["imagefolder"],
        )
        for degrees in (0.0, 20.0)
    )
    assert len(corners(still, gradient(64, 64))) == 1
    assert len(corners(turned, gradient(64, 64))) > 1


def test_padding_as_large_as_the_side_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"expected `pad` < 16 .*got 16 \(augmentation\.pad\)"):
        DiskBatches(train_files(root), config_of(root, **{"augmentation.pad": 16}), CPU)


def test_mean_and_std_given_normalise(root: Path) -> None:
    values = {"data.mean": [0.5, 0.25, 0.0], "data.std": [1.0, 0.5, 0.25]}
    standard, given = (
        joined(list(DiskBatches(train_files(root), config_of(root, **v), CPU).evaluation(20)), "images_BCHW")
        for v in ({}, values)
    )
    spec = DATASETS["imagefolder"]
    mean, std = (np.array(v).reshape(-1, 1, 1) for v in (spec.mean, spec.std))
    expected = (standard * std + mean - np.array([0.5, 0.25, 0.0])[:, None, None]) / np.array([1, 0.5, 0.25])[
        :, None, None
    ]
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_large_images_are_evaluated_in_batches_that_fit_shared_memory(root: Path) -> None:
    batches = DiskBatches(train_files(root), config_of(root, **{"data.side": 1200}), CPU)
    assert len(next(batches.evaluation(1024)).labels_B) == EVALUATION_PIXELS // 1200**2 == 4


@needs_gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_reach_a_gpu_as_on_the_cpu(root: Path, workers: int) -> None:
    cuda = torch.device("cuda")
    torch.ones(1, device=cuda)  # CUDA is in use before the workers start
    config = config_of(root, **{"data.workers": workers})
    batches = list(DiskBatches(train_files(root), config, cuda).training(0, 1, 5))
    assert all(value.is_cuda for batch in batches for value in batch)
    for here, there in zip(epoch_of(root, epoch=1), batches, strict=True):
        torch.testing.assert_close(there.images_BCHW.cpu(), here.images_BCHW)
        assert there.index_B.tolist() == here.index_B.tolist()


# Broken files, and a complete run.


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_image_is_named_with_its_line_when_it_is_read(tmp_path: Path, workers: int) -> None:
    root = write_listed(tmp_path, "imagenet_lt", 2, 4)
    values = {"data.workers": workers, "data.side": SIDE, "data.validation": "own"}
    config = dataset_config("imagenet_lt", root, **values)
    with pytest.warns(UserWarning, match="names 2 of the 1000 classes"):
        splits = load_splits(config)
    line = (root / "ImageNet_LT_train.txt").read_text().splitlines()[5]
    path = root / line.rpartition(" ")[0]
    path.write_bytes(path.read_bytes()[:-200])
    batches = build_batches(splits.train, config, CPU)
    message = rf"got a file that cannot be decoded, .*: {path} \(named at {root}/ImageNet_LT_train\.txt:6\)"
    for read in (batches.evaluation(3), batches.training(0, 0, 3)):
        with pytest.raises(UserError, match=message) as caught:
            list(read)
        assert "Traceback" not in str(caught.value)


def numbers(record: Any) -> dict[str, Any]:
    """Return a record without its times."""
    return {k: v for k, v in dataclasses.asdict(record).items() if k not in ("train_s", "val_s", "images_per_s")}


def test_trainer_trains_on_folders_and_resumes_to_the_same_bits(root: Path) -> None:
    values = {"model.name": "resnet8", "epochs": 2, "batch_size": 8, "device.type": "cpu", "optimizer.lr": 0.01}
    attention = {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1}
    config = config_of(root, **values, **{"loss.name": "abce", "attention": attention})
    splits = load_splits(config)
    assert splits.num_classes == 3

    whole = Trainer(config, splits)
    records = [numbers(record) for record in whole.epochs()]

    first = Trainer(config.with_values({"data.workers": 2}), splits)
    resumed = [numbers(next(first.epochs()))]
    state = copy.deepcopy(first.state_dict())
    second = Trainer(config, splits)
    second.load_state_dict(state)
    resumed += [numbers(record) for record in second.epochs()]

    assert resumed == records
    weights = second.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in whole.model.state_dict().items())
    assert len(whole.test(load_test(config)).test_recall) == 3  # type: ignore[arg-type]
