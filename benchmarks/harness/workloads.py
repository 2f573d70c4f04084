"""Models and made-up images that benchmarks of speed train, their options, and a stopwatch.

Suffixes: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batch, Images, Splits
from benchmarks.harness.command_line import CORES, at_least

NUM_CLASSES = 10
TRAIN_PER_VALIDATION = 10
"""Training images for each validation image."""


class BenchmarkModel(NamedTuple):
    """A model and the images that it trains on."""

    name: str
    """Title for people."""
    model: str
    dataset: str
    """Data set whose shape, augmentation and normalisation the made-up images have."""


BENCHMARK_MODELS = {
    "resnet32": BenchmarkModel("ResNet-32, 32x32x3", "resnet32", "cifar10"),
    "resnet8": BenchmarkModel("ResNet-8, 28x28x1", "resnet8", "fashion_mnist"),
}


class EpochWorkload(NamedTuple):
    """The epoch that every run of a benchmark trains."""

    case: str
    """Key of BENCHMARK_MODELS."""
    num_batches: int
    batch: int
    """Images of a batch."""
    device: str
    exact: bool
    """Whether options of `device` keep their defaults; else `device.fast` is set."""


def made_up_splits(model: BenchmarkModel, num_images: int) -> Splits:
    """Make up uint8 images and labels of the shape of the model's data set."""
    generator = np.random.default_rng(0)
    spec = DATASETS[model.dataset]

    def images(count: int) -> Images:
        pixels = generator.integers(256, size=(count, spec.channels, spec.side, spec.side), dtype=np.uint8)
        return Images(pixels, np.arange(count, dtype=np.int64) % NUM_CLASSES)

    train = images(num_images)
    counts = tuple(np.bincount(train.labels_N, minlength=NUM_CLASSES).tolist())
    changed_N = np.zeros(num_images, dtype=np.bool_)
    val = images(max(num_images // TRAIN_PER_VALIDATION, 1))
    val_changed_M = np.zeros(len(val), dtype=np.bool_)
    return Splits(train, val, counts, NUM_CLASSES, np.arange(num_images), changed_N, val_changed_M, "0" * 64)


def stage_two_run(model: BenchmarkModel, batch: int, device: str, options: dict[str, Any]) -> RunConfig:
    """Configure a run that is in stage two from its first epoch, with these options of `device`."""
    return RunConfig.from_dict(
        {
            "data": {"name": model.dataset},
            "model": {"name": model.model},
            "attention": {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 0},
            "optimizer": {"lr": 1e-3},
            "epochs": 100_000,
            "batch_size": batch,
            "device": {"type": device, **options},
        }
    )


def resident_batch(config: RunConfig, device: torch.device) -> Batch:
    """Make a batch of noise that stays on the device, of the shape of the run's data set."""
    spec = DATASETS[config.data.name]
    index_B = torch.arange(config.batch_size, device=device)
    images_BCHW = torch.randn(config.batch_size, spec.channels, spec.side, spec.side, device=device)
    return Batch(images_BCHW, index_B % NUM_CLASSES, index_B)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Wall seconds of a block; waits for the device before and after it."""

    def __init__(self, device: torch.device) -> None:
        self._device, self.seconds = device, 0.0

    def __enter__(self) -> Stopwatch:
        synchronise(self._device)
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        synchronise(self._device)
        self.seconds = time.perf_counter() - self._started


def add_workload_options(parser: argparse.ArgumentParser, threads_help: str | None = None) -> None:
    """Add the options that benchmarks of several runs or pipelines on one device share."""
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--rounds", type=at_least(2), default=7)
    parser.add_argument("--batch", type=at_least(1), default=128, help="images of a batch")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if has_gpu else "cpu")
    parser.add_argument("--threads", type=at_least(1), default=CORES, help=threads_help)
    parser.add_argument("--json", type=Path)
