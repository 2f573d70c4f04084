"""What `benchmarks.throughput` compares: the peer pipeline, our runs, and the bound.

Suffixes: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL.Image import Image, fromarray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batch, Batches, Images, Splits
from absgd.models import build_model
from absgd.training import Trainer
from absgd.training.cuda_graph import CudaGraphRecorder
from absgd.training.device_options import machine_of, resolve_device_options
from absgd.training.network import Network
from absgd.training.optimizer import build_optimizer

NUM_CLASSES = 10
VALIDATION_SHARE = 10
"""Training images for each validation image."""


class Case(NamedTuple):
    """A model and the images it is trained on."""

    name: str
    model: str
    dataset: str
    """Whose shape, augmentation and normalisation the made-up images have."""


CASES = {
    "resnet32": Case("ResNet-32, 32x32x3", "resnet32", "cifar10"),
    "resnet8": Case("ResNet-8, 28x28x1", "resnet8", "fashion_mnist"),
}


class Seconds(NamedTuple):
    """Of one epoch, or of a part of one."""

    train: float
    whole: float
    """With every evaluation that belongs to it."""


class Side(Protocol):
    """Something that trains so many images at a time."""

    def epoch(self) -> Seconds:
        """Train on every image once."""


def make_splits(case: Case, num_images: int) -> Splits:
    """Made-up uint8 images and labels, of the shape that the case's data set has."""
    generator = np.random.default_rng(0)
    spec = DATASETS[case.dataset]  # type: ignore[index]

    def images(count: int) -> Images:
        pixels = generator.integers(256, size=(count, spec.channels, spec.side, spec.side), dtype=np.uint8)
        return Images(pixels, np.arange(count, dtype=np.int64) % NUM_CLASSES)

    train = images(num_images)
    counts = tuple(np.bincount(train.labels_N, minlength=NUM_CLASSES).tolist())
    changed_N = np.zeros(num_images, dtype=np.bool_)
    val = images(max(num_images // VALIDATION_SHARE, 1))
    return Splits(train, val, counts, NUM_CLASSES, np.arange(num_images), changed_N, "0" * 64)


def run_config(case: Case, batch: int, device: str, options: dict[str, Any]) -> RunConfig:
    """A run in stage two from its first epoch on, with these options of `device`."""
    return RunConfig.from_dict(
        {
            "data": {"name": case.dataset},
            "model": {"name": case.model},
            "attention": {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 0},
            "optimizer": {"lr": 1e-3},
            "epochs": 100_000,
            "batch_size": batch,
            "device": {"type": device, **options},
        }
    )


def resident_batch(config: RunConfig, device: torch.device) -> Batch:
    """A batch of noise that stays on the device, of the shape that the run's data set has."""
    spec = DATASETS[config.data.name]
    index_B = torch.arange(config.batch_size, device=device)
    images_BCHW = torch.randn(config.batch_size, spec.channels, spec.side, spec.side, device=device)
    return Batch(images_BCHW, index_B % NUM_CLASSES, index_B)


class Ours:
    """A Trainer with options of `device`."""

    def __init__(self, config: RunConfig, splits: Splits) -> None:
        self.trainer = Trainer(config, splits)
        self._epochs = self.trainer.epochs()

    def epoch(self) -> Seconds:
        """An epoch as `absgd-train` trains it, with its validation."""
        record = next(self._epochs)
        return Seconds(record.train_s, record.train_s + record.val_s)


class BatchesAlone:
    """Our batches made and thrown away."""

    def __init__(self, config: RunConfig, splits: Splits, device: torch.device) -> None:
        assert isinstance(splits.train, Images)
        self._batches, self._size = Batches(splits.train, config, device), config.batch_size
        self._device = device
        self._next = 0

    def epoch(self) -> Seconds:
        """The batches of an epoch."""
        with Clock(self._device) as clock:
            for _ in self._batches.training(0, self._next, self._size):
                pass
        self._next += 1
        return Seconds(clock.seconds, clock.seconds)


class Bound:
    """Forward, backward and optimiser on one resident batch, in the ways of a run; nothing is checked or counted."""

    def __init__(self, config: RunConfig, num_images: int, device: torch.device) -> None:
        spec = DATASETS[config.data.name]
        speed = resolve_device_options(config.device, config.model.dropout, machine_of(device))
        model = build_model(config.model, spec.channels, NUM_CLASSES).to(device)
        network = Network(model, speed, device)
        optimizer = build_optimizer(model, config.optimizer, fused=speed.fused_optimizer)
        batch = resident_batch(config, device)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(F.cross_entropy(network(batch.images_BCHW), batch.labels_B))
            optimizer.step()

        self._step: Callable[[], object] = step
        if speed.cuda_graph:
            recorder = CudaGraphRecorder()
            recorder.warm_up(step)
            self._step = recorder.capture(step)
        self._steps, self._device = num_images // config.batch_size, device

    def epoch(self) -> Seconds:
        """As many steps as an epoch has whole batches."""
        with Clock(self._device) as clock:
            for _ in range(self._steps):
                self._step()
        return Seconds(clock.seconds, clock.seconds)


class Peer:
    """The pipeline that users write: torchvision transforms in a DataLoader, eager float32, cross entropy.

    Every epoch ends with a pass over the training set, and one over the validation images, in evaluation mode. Workers
    live as long as the run, which favours it.
    """

    def __init__(self, config: RunConfig, splits: Splits, workers: int, device: torch.device) -> None:
        spec = DATASETS[config.data.name]
        self._device = device
        self._model = build_model(config.model, spec.channels, NUM_CLASSES).to(device)
        options = config.optimizer
        self._optimizer = torch.optim.SGD(
            self._model.parameters(), options.lr, options.momentum, weight_decay=options.weight_decay
        )
        train, plain = _transforms(config.data.name)
        assert isinstance(splits.train, Images)
        assert isinstance(splits.val, Images)

        def loader(images: Images, transform: Callable[[Image], Tensor], shuffle: bool) -> DataLoader[Any]:
            return DataLoader(
                _PilImages(images, transform),
                config.batch_size,
                shuffle=shuffle,
                num_workers=workers,
                persistent_workers=workers > 0,
                pin_memory=device.type == "cuda",
            )

        self._train = loader(splits.train, train, shuffle=True)
        self._evaluated = [loader(splits.train, plain, False), loader(splits.val, plain, False)]

    def epoch(self) -> Seconds:
        """Train, then evaluate on the training set and on the validation images."""
        with Clock(self._device) as training:
            self._model.train()
            total = 0.0
            for images_BCHW, labels_B in self._moved(self._train):
                loss = F.cross_entropy(self._model(images_BCHW), labels_B)
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                total += loss.item()
        with Clock(self._device) as evaluating, torch.no_grad():
            self._model.eval()
            for loader in self._evaluated:
                hits = 0
                for images_BCHW, labels_B in self._moved(loader):
                    hits += int((self._model(images_BCHW).argmax(dim=1) == labels_B).sum())
        return Seconds(training.seconds, training.seconds + evaluating.seconds)

    def _moved(self, loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        for images_BCHW, labels_B in loader:
            yield images_BCHW.to(self._device, non_blocking=True), labels_B.to(self._device, non_blocking=True)


def _transforms(dataset: str) -> tuple[Callable[[Image], Tensor], Callable[[Image], Tensor]]:
    """For training and for evaluation, of the first version of torchvision's transforms."""
    from torchvision import transforms

    spec = DATASETS[dataset]  # type: ignore[index]
    plain = [transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]
    moves = [transforms.RandomCrop(spec.side, padding=spec.pad), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*moves, *plain]), transforms.Compose(plain)


class _PilImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets hand them out: through PIL, one at a time."""

    def __init__(self, images: Images, transform: Callable[[Image], Tensor]) -> None:
        self._images_NHWC = np.ascontiguousarray(images.images_NCHW.transpose(0, 2, 3, 1))
        self._labels_N, self._transform = images.labels_N.tolist(), transform

    def __len__(self) -> int:
        return len(self._labels_N)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        pixels_HWC = self._images_NHWC[position]
        image = fromarray(pixels_HWC.squeeze(-1) if pixels_HWC.shape[-1] == 1 else pixels_HWC)
        return self._transform(image), self._labels_N[position]


class Clock:
    """Wall seconds of a block, the device waited for before and after."""

    def __init__(self, device: torch.device) -> None:
        self._device, self.seconds = device, 0.0

    def __enter__(self) -> Clock:
        self._wait()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self.seconds = time.perf_counter() - self._started

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
