"""Batches that runs in one process have in common: images lie on the device once, and a batch is made once for all
runs that are at the same step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch

from absgd.config import RunConfig
from absgd.datasets.batch_shares import WHOLE, Share
from absgd.datasets.batches import Batch
from absgd.datasets.build_batches import BatchSource, build_batches
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images


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
        resampled = (config.class_balance, config.class_balance_epoch)
        balance = resampled if config.class_balance.type == "resample" else None  # any other acts in the loss
        key = (id(images), config.data, config.augmentation, balance, device, share)  # who has batches, has images
        found = self._batches.get(key)
        if found is None:
            found = self._batches[key] = CommonBatches(images, build_batches(images, config, device, share), device)
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # other streams read what this one wrote
        return found


class CommonBatches:
    """Batches of some images, for runs that take turns in one thread; each run gets what it would get alone.

    Runs that begin an epoch, or a validation, before any of them asks for its second batch share its batches. A batch
    is kept until the last of them has taken it: none, where they take turns step by step.

    Whoever makes a batch that cannot be made gets the error; the others try for themselves.

    Args:
        images: kept, so that no other images are taken for them.
        source: makes their batches.
        device: where; on a GPU by a stream of their own, which waits for no run.
    """

    def __init__(self, images: Images | ImageFiles, source: BatchSource, device: torch.device) -> None:
        self.images = images
        self._source = source
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._beginning: WeakValueDictionary[tuple[int, ...], _Link] = WeakValueDictionary()
        """What was asked for -> its first batch, while nobody has asked for the second, nor all have left."""

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of an epoch themselves: drawn, augmented and ready, also for another stream of a GPU.

        Raises:
            UserError: at an image that cannot be read.
        """

        def batches() -> Iterator[Batch]:
            return map(self._source.batch_of, self._source.draws(seed, epoch, batch_size))

        return self._in_common((seed, epoch, batch_size), batches)

    def batch_of(self, draw: Batch) -> Batch:
        """The batch itself."""
        return draw

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """As the source's; in common too.

        Raises:
            UserError: at an image that cannot be read.
        """
        return self._in_common((batch_size,), lambda: self._source.evaluation(batch_size))

    def _in_common(self, asked: tuple[int, ...], batches: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        link = self._beginning.get(asked)
        if link is None:
            link = self._beginning[asked] = _Link(_Making(batches, self._stream), 0)
        while link.made is not None:
            yield link.made.here()
            if self._beginning.get(asked) is link:
                del self._beginning[asked]
            link = link.following()


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


class _Making:
    """Makes the batches of a pass one after another; after an error it begins anew where it is asked to."""

    def __init__(self, batches: Callable[[], Iterator[Batch]], stream: torch.cuda.Stream | None) -> None:
        self._batches, self._stream = batches, stream
        self._left: Iterator[Batch] | None = None
        self._next = 0

    def batch(self, number: int) -> _Made | None:
        """The batch of a step, counted from 0; None: the pass is over."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            if self._left is None or number != self._next:
                self._left = itertools.islice(self._batches(), number, None)
            left, self._left = self._left, None
            batch = next(left, None)
            self._left, self._next = left, number + 1
            if batch is None:
                return None
            if self._stream is None:
                return _Made(batch, None)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(self._stream)
            return _Made(batch, ready)


class _Link:
    """A batch of a pass and the way to the next: there as long as a run is at it or before it.

    Not `itertools.tee`, which lets go of values by the dozen.
    """

    def __init__(self, making: _Making, number: int) -> None:
        self._making, self._number = making, number
        self.made = making.batch(number)
        """None: the pass is over."""
        self._following: _Link | None = None

    def following(self) -> _Link:
        """The next one, made for the first who asks, and for the next who asks where that failed."""
        if self._following is None:
            self._following = _Link(self._making, self._number + 1)
        return self._following
