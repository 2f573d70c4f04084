"""Batches of images on disk: decoded and augmented by worker processes, normalised on the device.

Shape legend: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from absgd.config import RunConfig
from absgd.config.sections import DataConfig
from absgd.datasets.batch_shares import WHOLE, Share
from absgd.datasets.batches import Batch, Normalisation
from absgd.datasets.epoch_order import EpochOrder
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.image_reading import BrokenImage, ReadFailed, error_at, read_rgb
from absgd.datasets.reading_processes import (
    ASK_EVERY_S,
    ReadAhead,
    check_shared_memory,
    end_with_training,
    read_batches,
)
from absgd.datasets.registered_dataset import augmentation_of, side_of
from absgd.randomness import derived_seed
from absgd.registry.dataset_table import DATASETS, DatasetSpec
from absgd.short_folders import shorten_socket_paths

Transform = Callable[[Image], Tensor]

RESIZED_TO_CROP = 256 / 224
"""Shorter side of a resized image over the side of the crop out of it."""
EVALUATION_PIXELS = 128 * 224 * 224
"""Pixels of the largest evaluation batch: workers hand batches over through shared memory, which may be small."""
_CPU = torch.device("cpu")


class DiskBatches:
    """Images in files, and the batches that `data.workers` processes read from them; the processes live for one pass.

    Training images are cropped by the data set's standard or, if `augmentation.pad` is given, resized and cropped as
    for evaluation, padded with black and cropped to their side again; then flipped and rotated by `augmentation`.
    For evaluation the shorter side is resized to 256 / 224 of the side and the centre cropped; data sets of small
    images (standard augmentation by padding) are resized to the side itself. With `data.resize: whole` the whole image
    is resized to the side in both directions, in training too, and only padding, flip and rotation change it.

    Args:
        images: paths and labels.
        config: `data` gives side, workers and normalisation, `augmentation` the augmentation of training batches, and
            `class_balance` decides whether an epoch is a permutation or draws by class weight.
        device: where the batches are normalised.
        share: the share of every batch that is read here.

    Raises:
        UserError: if the padding exceeds the side, or `data.mean` and `data.std` do not have one value per channel.
    """

    def __init__(self, images: ImageFiles, config: RunConfig, device: torch.device, share: Share = WHOLE) -> None:
        spec = DATASETS[config.data.name]
        self._side = side_of(config.data, spec)
        self._training = training_transform(config, spec)
        self._evaluation = evaluation_transform(config, spec)
        self._images = images
        self._workers = config.data.workers
        self._device = device
        self._share = share
        self._labels_N = torch.from_numpy(images.labels_N.copy()).to(device)
        check_shared_memory(self._ahead(_Steps(torch.arange(len(images)), config.batch_size, share)))
        self._order = EpochOrder(images.labels_N, config, _CPU)
        self._normalised = Normalisation(config.data, spec, device)

    def training(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """One epoch in its random order, augmented: as many images as there are; the last batch may be smaller.

        Order and augmentation depend on (seed, epoch) alone, and an image's augmentation on its place in the order, not
        on the batch size, the number of workers or the device.

        Raises:
            UserError: at an image that cannot be read, naming it and the line of its list.
        """
        order_N = self._order.of(seed, epoch)
        steps = _Steps(order_N, batch_size, self._share, derived_seed(seed, "augmentation", epoch))
        return self._read(steps, self._training)

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of `training` themselves: worker processes draw and augment what they read."""
        return self.training(seed, epoch, batch_size)

    def batch_of(self, draw: Batch) -> Batch:
        """The batch itself."""
        return draw

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """Every image once, in order, not augmented, in batches of at most `batch_size` and `EVALUATION_PIXELS`.

        The limit applies to the share of each process.

        Raises:
            UserError: at an image that cannot be read, naming it and the line of its list.
        """
        allowed = max(EVALUATION_PIXELS // self._side**2, 1) * self._share.size
        steps = _Steps(torch.arange(len(self._images)), min(batch_size, allowed), self._share)
        return self._read(steps, self._evaluation)

    def _read(self, steps: _Steps, transform: Transform) -> Iterator[Batch]:
        ahead = self._ahead(steps)
        check_shared_memory(ahead)
        workers = ahead.workers
        loader: DataLoader[Any] = DataLoader(
            _ImageReader(self._images, transform),
            batch_sampler=steps,
            num_workers=workers,
            collate_fn=partial(_joined, side=self._side),
            pin_memory=self._device.type == "cuda",
            multiprocessing_context=_worker_context() if workers else None,
            generator=torch.Generator(),  # DataLoader would draw from torch's global generator otherwise
            timeout=ASK_EVERY_S if workers else 0,
            worker_init_fn=end_with_training if workers else None,
        )
        for index_B, read in zip(steps.indices(), read_batches(loader, ahead), strict=True):
            if isinstance(read, _Unreadable):
                raise error_at(self._images, read.position, read.fault)
            yield self._batch(read, index_B)

    def _ahead(self, steps: _Steps) -> ReadAhead:
        return ReadAhead(min(self._workers, len(steps)), len(steps), steps.largest * 3 * self._side**2)

    def _batch(self, pixels_BCHW: Tensor, index_B: Tensor) -> Batch:
        index_B = index_B.to(self._device, non_blocking=True)
        images_BCHW = self._normalised(pixels_BCHW.to(self._device, non_blocking=True))
        return Batch(images_BCHW, self._labels_N[index_B], index_B)


def shorter_side(config: DataConfig, spec: DatasetSpec) -> int | None:
    """Return the shorter side to which an evaluated image on disk is resized before its centre is cropped.

    None where the whole image is resized.
    """
    if config.resize == "whole":
        return None
    side = side_of(config, spec)
    return side if spec.crop == "padded" else round(side * RESIZED_TO_CROP)


def training_transform(config: RunConfig, spec: DatasetSpec) -> Transform:
    """Return the transform of an RGB image to an augmented uint8 tensor (3, side, side).

    It draws from torch's global CPU generator.

    Raises:
        UserError: if the padding exceeds the side, so that a crop could hold nothing of the image.
    """
    from torchvision.transforms import v2

    augmentation, side = config.augmentation, side_of(config.data, spec)
    pad, flip = augmentation_of(augmentation, spec, side)
    if spec.crop == "padded" or augmentation.pad is not None or config.data.resize == "whole":
        steps = [*_resized(config.data, spec), v2.RandomCrop(side, padding=pad)]
    elif spec.crop == "resized":
        steps = [v2.Resize(round(side * RESIZED_TO_CROP)), v2.RandomCrop(side)]
    else:
        steps = [v2.RandomResizedCrop(side)]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if augmentation.rotation_deg:
        steps.append(v2.RandomRotation(augmentation.rotation_deg, v2.InterpolationMode.BILINEAR))
    return _as_transform([*steps, v2.PILToTensor()])


def evaluation_transform(config: RunConfig, spec: DatasetSpec) -> Transform:
    """Return the transform of an RGB image to a uint8 tensor (3, side, side) of its centre, or of all of it."""
    from torchvision.transforms import v2

    return _as_transform([*_resized(config.data, spec), v2.PILToTensor()])


def _resized(config: DataConfig, spec: DatasetSpec) -> list[Any]:
    from torchvision.transforms import v2

    side = side_of(config, spec)
    shorter = shorter_side(config, spec)
    return [v2.Resize((side, side))] if shorter is None else [v2.Resize(shorter), v2.CenterCrop(side)]


def _as_transform(steps: Sequence[Any]) -> Transform:
    from torchvision.transforms import v2

    transform: Transform = v2.Compose(steps)
    return transform


class _Key(NamedTuple):
    position: int
    seed: int | None
    """Seed of the image's augmentation; None where nothing is drawn."""


class _Steps:
    """A batch sampler: the images of a share for each step of an epoch."""

    def __init__(self, order_N: Tensor, batch_size: int, share: Share, seed: int | None = None) -> None:
        self._order_N, self._batch_size, self._share, self._seed = order_N, batch_size, share, seed

    def __len__(self) -> int:
        return -(-len(self._order_N) // self._batch_size)

    @property
    def largest(self) -> int:
        """Images of the share in the largest batch."""
        return self._share.largest(min(self._batch_size, len(self._order_N)))

    def __iter__(self) -> Iterator[list[_Key]]:
        for start, index_B in zip(itertools.count(step=self._batch_size), self.indices(), strict=False):
            rows = self._share.rows(len(index_B))
            yield [self._key(start + rows.start + row, each) for row, each in enumerate(index_B[rows].tolist())]

    def indices(self) -> Iterator[Tensor]:
        """index_B of each whole step."""
        return iter(torch.split(self._order_N, self._batch_size))

    def _key(self, place: int, position: int) -> _Key:
        return _Key(position, None if self._seed is None else derived_seed(self._seed, "place", place))


class _Unreadable(NamedTuple):
    """Placeholder for an unreadable image, then for its batch: an error raised in a worker would arrive as text."""

    position: int
    fault: BrokenImage | ReadFailed


_ReadResult = Tensor | _Unreadable


class _ImageReader(Dataset[_ReadResult]):
    """Reads and transforms one image for each key, in a worker process."""

    def __init__(self, images: ImageFiles, transform: Transform) -> None:
        self._images, self._transform = images, transform

    def __getitem__(self, key: _Key) -> _ReadResult:
        try:
            image = read_rgb(self._images.path(key.position))
        except (BrokenImage, ReadFailed) as fault:
            return _Unreadable(key.position, fault)
        if key.seed is None:
            return self._transform(image)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key.seed)
            return self._transform(image)


def _joined(read: list[_ReadResult], side: int) -> Tensor | _Unreadable:
    """pixels_BCHW uint8 of a step, which may have no image, or its first unreadable image."""
    pixels: list[Tensor] = []
    for image in read:
        if isinstance(image, _Unreadable):
            return image
        pixels.append(image)
    joined = torch.stack(pixels) if pixels else torch.empty(0, 3, side, side, dtype=torch.uint8)
    if get_worker_info() is not None:
        # Here, where an error reaches the training process: later that would wait for ever.
        joined.share_memory_()  # type: ignore[no-untyped-call]
    return joined


def _worker_context() -> BaseContext:
    """Fork workers from a clean server process, never from this one, which may hold CUDA and threads."""
    shorten_socket_paths()
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload(["torch", "torchvision.transforms.v2", "PIL.Image", "pydantic"])
    return context
