"""Batches shared by the runs of one process: the device holds the images once, and a batch is made once for all runs
that are at the same step.
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
    """Gives each run of a process the batches of its images, from one copy that lives as long as a run uses it."""

    def __init__(self) -> None:
        self._batches: WeakValueDictionary[tuple[Any, ...], CommonBatches] = WeakValueDictionary()

    def batches(
        self, images: Images | ImageFiles, config: RunConfig, device: torch.device, share: Share = WHOLE
    ) -> CommonBatches:
        """Return the batches that `build_batches` returns, shared by runs with the same `images` object and settings.

        Raises:
            UserError: as `build_batches`.
        """
        resampled = (config.class_balance, config.class_balance_epoch)
        balance = resampled if config.class_balance.type == "resample" else None  # all others act in the loss
        # The id stays valid: CommonBatches keeps its images.
        key = (id(images), config.data, config.augmentation, balance, device, share)
        found = self._batches.get(key)
        if found is None:
            found = self._batches[key] = CommonBatches(images, build_batches(images, config, device, share), device)
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # other streams read what this one wrote
        return found


class CommonBatches:
    """Batches of images for runs that take turns in one thread; each run gets the batches that it gets alone.

    Runs share the batches of an epoch or a validation if all of them begin it before any asks for its second batch.
    A batch is kept until the last of them has taken it: where they take turns step by step, no longer than one turn.

    The run for which making a batch fails gets the error; the others try again.

    Args:
        images: kept, so that their id stays theirs.
        source: makes the batches.
        device: on a GPU, batches are made on a separate stream, which waits for no run.
    """

    def __init__(self, images: Images | ImageFiles, source: BatchSource, device: torch.device) -> None:
        self.images = images
        self._source = source
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._beginning: WeakValueDictionary[tuple[int, ...], _BatchLink] = WeakValueDictionary()
        """Request -> its first batch, until a run asks for the second or all have left."""

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of an epoch: drawn, augmented and ready, also for another stream of a GPU.

        Raises:
            UserError: at an image that cannot be read.
        """

        def batches() -> Iterator[Batch]:
            return map(self._source.batch_of, self._source.draws(seed, epoch, batch_size))

        return self._shared_pass((seed, epoch, batch_size), batches)

    def batch_of(self, draw: Batch) -> Batch:
        """The batch itself."""
        return draw

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """The evaluation batches of the source, shared too.

        Raises:
            UserError: at an image that cannot be read.
        """
        return self._shared_pass((batch_size,), lambda: self._source.evaluation(batch_size))

    def _shared_pass(self, asked: tuple[int, ...], batches: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        link = self._beginning.get(asked)
        if link is None:
            link = self._beginning[asked] = _BatchLink(_BatchMaker(batches, self._stream), 0)
        while link.made is not None:
            yield link.made.here()
            if self._beginning.get(asked) is link:
                del self._beginning[asked]
            link = link.following()


class _MadeBatch(NamedTuple):
    """A batch, ready or still in the making on a stream of a GPU."""

    batch: Batch
    ready: torch.cuda.Event | None

    def here(self) -> Batch:
        """The batch, usable by work that is queued on the current stream from now on."""
        if self.ready is not None:
            stream = torch.cuda.current_stream()
            self.ready.wait(stream)
            for tensor in self.batch:
                tensor.record_stream(stream)
        return self.batch


class _BatchMaker:
    """Makes the batches of a pass one after another; after an error it restarts at the batch that is asked for."""

    def __init__(self, batches: Callable[[], Iterator[Batch]], stream: torch.cuda.Stream | None) -> None:
        self._batches, self._stream = batches, stream
        self._left: Iterator[Batch] | None = None
        self._next = 0

    def batch(self, number: int) -> _MadeBatch | None:
        """The batch of a step, counted from 0; None after the last."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            if self._left is None or number != self._next:
                self._left = itertools.islice(self._batches(), number, None)
            left, self._left = self._left, None
            batch = next(left, None)
            self._left, self._next = left, number + 1
            if batch is None:
                return None
            if self._stream is None:
                return _MadeBatch(batch, None)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(self._stream)
            return _MadeBatch(batch, ready)


class _BatchLink:
    """A batch of a pass, linked to the next: it exists as long as a run is at it or before it.

    Not `itertools.tee`, which frees values by the dozen.
    """

    def __init__(self, making: _BatchMaker, number: int) -> None:
        self._making, self._number = making, number
        self.made = making.batch(number)
        """The batch; None after the last."""
        self._following: _BatchLink | None = None

    def following(self) -> _BatchLink:
        """The next link, made when a run first asks for it, and again if that failed."""
        if self._following is None:
            self._following = _BatchLink(self._making, self._number + 1)
        return self._following
