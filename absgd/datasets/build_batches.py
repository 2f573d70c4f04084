"""The batches of a run's images, wherever the images lie."""

from __future__ import annotations

import torch

from absgd.config import RunConfig
from absgd.datasets.batches import Batches
from absgd.datasets.disk_batches import DiskBatches
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images
from absgd.datasets.shares import WHOLE, Share


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
