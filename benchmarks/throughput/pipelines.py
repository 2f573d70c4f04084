"""The pipelines that `benchmarks.throughput` compares: the peer, our runs, and the bound.

Suffixes: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL.Image import Image, fromarray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batches, Images, Splits
from absgd.models import build_model
from absgd.training import Trainer
from absgd.training.cuda_graph import CudaGraphRecorder
from absgd.training.device_options import machine_of, resolve_device_options
from absgd.training.network import Network
from absgd.training.optimizer import build_optimizer
from benchmarks.harness.workloads import NUM_CLASSES, Stopwatch, resident_batch


class EpochSeconds(NamedTuple):
    """Seconds of one epoch."""

    train: float
    """The training pass alone."""
    whole: float
    """The training pass and every evaluation that belongs to the epoch."""


class Pipeline(Protocol):
    """A way to train on the images of an epoch."""

    def epoch(self) -> EpochSeconds:
        """Train on every image once."""


class TrainerPipeline:
    """A Trainer with options of `device`."""

    def __init__(self, config: RunConfig, splits: Splits) -> None:
        self.trainer = Trainer(config, splits)
        self._epochs = self.trainer.epochs()

    def epoch(self) -> EpochSeconds:
        """Train an epoch as `absgd-train` does, with its validation."""
        record = next(self._epochs)
        return EpochSeconds(record.train_s, record.train_s + record.val_s)


class BatchesAlone:
    """Our batches, made and discarded."""

    def __init__(self, config: RunConfig, splits: Splits, device: torch.device) -> None:
        assert isinstance(splits.train, Images)
        self._batches, self._size = Batches(splits.train, config, device), config.batch_size
        self._device = device
        self._next = 0

    def epoch(self) -> EpochSeconds:
        """Make the batches of an epoch."""
        with Stopwatch(self._device) as clock:
            for _ in self._batches.training(0, self._next, self._size):
                pass
        self._next += 1
        return EpochSeconds(clock.seconds, clock.seconds)


class ResidentBatchBound:
    """Forward, backward and optimiser on one resident batch with the device options of a run; no checks, no metrics."""

    def __init__(self, config: RunConfig, num_images: int, device: torch.device) -> None:
        spec = DATASETS[config.data.name]
        options = resolve_device_options(config.device, config.can_be_captured, machine_of(device))
        model = build_model(config.resolved().model, spec.channels, NUM_CLASSES).to(device)
        network = Network(model, options, device)
        optimizer = build_optimizer(model, config.optimizer, fused=options.fused_optimizer)
        batch = resident_batch(config, device)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(F.cross_entropy(network(batch.images_BCHW), batch.labels_B))
            optimizer.step()

        self._step: Callable[[], object] = step
        if options.cuda_graph:
            recorder = CudaGraphRecorder()
            recorder.warm_up(step)
            self._step = recorder.capture(step)
        self._steps, self._device = num_images // config.batch_size, device

    def epoch(self) -> EpochSeconds:
        """Take as many steps as an epoch has whole batches."""
        with Stopwatch(self._device) as clock:
            for _ in range(self._steps):
                self._step()
        return EpochSeconds(clock.seconds, clock.seconds)


class TorchvisionPipeline:
    """The pipeline that users write: torchvision transforms in a DataLoader, eager float32, cross entropy.

    Every epoch ends with passes over the training and the validation images in evaluation mode. Workers live as long
    as the run, which favours this pipeline.
    """

    def __init__(self, config: RunConfig, splits: Splits, workers: int, device: torch.device) -> None:
        spec = DATASETS[config.data.name]
        self._device = device
        self._model = build_model(config.resolved().model, spec.channels, NUM_CLASSES).to(device)
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

    def epoch(self) -> EpochSeconds:
        """Train, then evaluate on the training and the validation images."""
        with Stopwatch(self._device) as training:
            self._model.train()
            total = 0.0
            for images_BCHW, labels_B in self._moved(self._train):
                loss = F.cross_entropy(self._model(images_BCHW), labels_B)
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                total += loss.item()
        with Stopwatch(self._device) as evaluating, torch.no_grad():
            self._model.eval()
            for loader in self._evaluated:
                hits = 0
                for images_BCHW, labels_B in self._moved(loader):
                    hits += int((self._model(images_BCHW).argmax(dim=1) == labels_B).sum())
        return EpochSeconds(training.seconds, training.seconds + evaluating.seconds)

    def _moved(self, loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        for images_BCHW, labels_B in loader:
            yield images_BCHW.to(self._device, non_blocking=True), labels_B.to(self._device, non_blocking=True)


def _transforms(dataset: str) -> tuple[Callable[[Image], Tensor], Callable[[Image], Tensor]]:
    """Return torchvision's version 1 transforms for training and for evaluation."""
    from torchvision import transforms

    spec = DATASETS[dataset]
    plain = [transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)]
    moves = [transforms.RandomCrop(spec.side, padding=spec.pad), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*moves, *plain]), transforms.Compose(plain)


class _PilImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets return them: through PIL, one at a time."""

    def __init__(self, images: Images, transform: Callable[[Image], Tensor]) -> None:
        self._images_NHWC = np.ascontiguousarray(images.images_NCHW.transpose(0, 2, 3, 1))
        self._labels_N, self._transform = images.labels_N.tolist(), transform

    def __len__(self) -> int:
        return len(self._labels_N)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        pixels_HWC = self._images_NHWC[position]
        image = fromarray(pixels_HWC.squeeze(-1) if pixels_HWC.shape[-1] == 1 else pixels_HWC)
        return self._transform(image), self._labels_N[position]
