"""Batches that runs in one process have in common: images lie on the device once, and a batch is made once for all
runs that are at the same step.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, cast
from weakref import WeakValueDictionary

import torch

from absgd.config import RunConfig
from absgd.datasets.batches import Batch
from absgd.datasets.build_batches import BatchSource, build_batches
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images
from absgd.datasets.shares import WHOLE, Share


class CommonImages:
    """Hands each run of a process the batches of its images, from one copy of them while a run has them."""

    def __init__(self) -> None:
        self._batches: WeakValueDictionary[tuple[Any, ...], CommonBatches] = WeakValueDictionary()

    def batches(
        self, images: Images | ImageFiles, config: RunConfig, device: torch.device, share: Share = WHOLE
    ) -> CommonBatches:
        """As `build_batches`, for a `Trainer`; the same `images` object with the same settings gives the same batches.

        Raises:
            UserError: as `build_batches`.
        """
        decisive = (config.data, config.augmentation, config.class_balance, config.class_balance_epoch)
        key = (id(images), *decisive, device, share)  # whoever holds the batches holds the images
        found = self._batches.get(key)
        if found is None:
            found = self._batches[key] = CommonBatches(images, build_batches(images, config, device, share))
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # other streams read what this one wrote
        return found


class CommonBatches:
    """Batches of some images, for runs that take turns in one thread; each run gets what it would get alone.

    Runs that begin an epoch before any of them asks for its second batch share that epoch's batches. A batch is kept
    until the last of them has taken it: none, where they take turns step by step.

    Args:
        images: kept, so that no other images are taken for them.
        source: makes their batches.
    """

    def __init__(self, images: Images | ImageFiles, source: BatchSource) -> None:
        self.images = images
        self._source = source
        self._beginning: dict[tuple[int, int, int], Iterator[_Made]] = {}
        """(seed, epoch, batch size) -> its first batch and all after it, while nobody has asked for the second."""

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of an epoch themselves: drawn, augmented and ready, also for another stream of a GPU.

        Raises:
            UserError: at an image that cannot be read.
        """
        key = (seed, epoch, batch_size)
        first = self._beginning.get(key)
        if first is None:
            made = map(_made, map(self._source.batch_of, self._source.draws(seed, epoch, batch_size)))
            (first,) = itertools.tee(made, 1)
            self._beginning[key] = first
        for number, batch in enumerate(copy.copy(cast(Any, first))):
            yield batch.here()
            if number == 0 and self._beginning.get(key) is first:
                del self._beginning[key]

    def batch_of(self, draw: Batch) -> Batch:
        """The batch itself."""
        return draw

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """As the source's."""
        return self._source.evaluation(batch_size)


class _Made(NamedTuple):
    """A batch, made or still being made on a stream of a GPU."""

    batch: Batch
    ready: torch.cuda.Event | None

    def here(self) -> Batch:
        """The batch, for what is queued from now on on the stream of this moment."""
        if self.ready is not None:
            stream = torch.cuda.current_stream()
            self.ready.wait(stream)
            for tensor in self.batch:
                tensor.record_stream(stream)
        return self.batch


def _made(batch: Batch) -> _Made:
    if batch.labels_B.device.type != "cuda":
        return _Made(batch, None)
    ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
    ready.record(torch.cuda.current_stream())
    return _Made(batch, ready)
