"""The batches of a run's images, wherever the images lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch

from absgd.config import RunConfig
from absgd.datasets.batch_shares import WHOLE, Share
from absgd.datasets.batches import Batch, Batches
from absgd.datasets.disk_batches import DiskBatches
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images


class BatchSource(Protocol):
    """Hands out images in batches on a device."""

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Any]:
        """What is drawn for each training batch of an epoch."""

    def batch_of(self, draw: Any) -> Batch:
        """The training batch of a draw, by operations on the device alone."""

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """Every image once, in order, not augmented."""


BatchesOf = Callable[[Images | ImageFiles, RunConfig, torch.device, Share], BatchSource]
"""Makes the source of a run's batches of some images, as `build_batches` does."""


def build_batches(
    images: Images | ImageFiles, config: RunConfig, device: torch.device, share: Share = WHOLE
) -> Batches | DiskBatches:
    """What hands out `images` in batches on `device`: `training(seed, epoch, batch_size)` and `evaluation(batch_size)`.

    With a `share` they read and hand out the images of one process of several, beside the labels of all.

    Raises:
        UserError: if the padding exceeds the side, or `data.mean` and `data.std` have not one value for each channel.
    """
    if isinstance(images, ImageFiles):
        return DiskBatches(images, config, device, share)
    return Batches(images, config, device, share)
