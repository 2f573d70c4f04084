"""Batches that runs in one process have in common: images lie on the device once, and a batch is made once for all
runs that are at the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
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

    Runs that begin an epoch, or a validation, before any of them asks for its second batch share its batches. A batch
    is kept until the last of them has taken it: none, where they take turns step by step.

    Args:
        images: kept, so that no other images are taken for them.
        source: makes their batches.
    """

    def __init__(self, images: Images | ImageFiles, source: BatchSource) -> None:
        self.images = images
        self._source = source
        self._beginning: dict[tuple[int, ...], _Link] = {}
        """What was asked for -> its first batch, while nobody has asked for the second."""

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of an epoch themselves: drawn, augmented and ready, also for another stream of a GPU.

        Raises:
            UserError: at an image that cannot be read.
        """

        def made() -> Iterator[Batch]:
            return map(self._source.batch_of, self._source.draws(seed, epoch, batch_size))

        return self._in_common((seed, epoch, batch_size), made)

    def batch_of(self, draw: Batch) -> Batch:
        """The batch itself."""
        return draw

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """As the source's; in common too.

        Raises:
            UserError: at an image that cannot be read.
        """
        return self._in_common((batch_size,), lambda: self._source.evaluation(batch_size))

    def _in_common(self, asked: tuple[int, ...], made: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        link = self._beginning.get(asked)
        if link is None:
            link = self._beginning[asked] = _Link(map(_made, made()))
        while (batch := link.made()) is not None:
            yield batch.here()
            del batch
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


class _Link:
    """A batch of an epoch and the way to the next: there as long as a run is at it or before it.

    Not `itertools.tee`, which lets go of values by the dozen.
    """

    def __init__(self, rest: Iterator[_Made]) -> None:
        self._rest = rest
        self._following: _Link | None = None
        self._made: _Made | None = None
        self._error: Exception | None = None
        try:
            self._made = next(rest, None)
        except Exception as error:  # noqa: BLE001 - an iterator that has failed would look as if it had ended
            self._error = error

    def made(self) -> _Made | None:
        """The batch; None: the epoch is over.

        Raises:
            Exception: for everyone who asks, whatever went wrong in making it.
        """
        if self._error is not None:
            raise self._error
        return self._made

    def following(self) -> _Link:
        """The next one, made for the first who asks."""
        if self._following is None:
            self._following = _Link(self._rest)
        return self._following


def _made(batch: Batch) -> _Made:
    if batch.labels_B.device.type != "cuda":
        return _Made(batch, None)
    ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
    ready.record(torch.cuda.current_stream())
    return _Made(batch, ready)
