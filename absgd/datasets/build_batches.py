"""Batches of a run's images, whether in memory or on disk."""

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
    """Makes batches of images on a device."""

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Any]:
        """The draws of an epoch, one for each training batch."""

    def batch_of(self, draw: Any) -> Batch:
        """Make the training batch of a draw by operations on the device alone."""

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """Every image once, in order, not augmented."""


BatchesOf = Callable[[Images | ImageFiles, RunConfig, torch.device, Share], BatchSource]
"""Builds the source of a run's batches, as `build_batches` does."""


def build_batches(
    images: Images | ImageFiles, config: RunConfig, device: torch.device, share: Share = WHOLE
) -> Batches | DiskBatches:
    """Return the source of batches of `images` on `device`, for training and for evaluation.

    With a `share` it reads the images of one of several processes, but gives the labels of all.

    Raises:
        UserError: if the padding exceeds the side, or `data.mean` and `data.std` do not have one value per channel.
    """
    if isinstance(images, ImageFiles):
        return DiskBatches(images, config, device, share)
    return Batches(images, config, device, share)
