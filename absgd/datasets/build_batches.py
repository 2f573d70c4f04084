"""The batches of a run's images, wherever the images lie."""

from __future__ import annotations

import torch

from absgd.config import RunConfig
from absgd.datasets.batches import Batches
from absgd.datasets.disk_batches import DiskBatches
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images


def build_batches(images: Images | ImageFiles, config: RunConfig, device: torch.device) -> Batches | DiskBatches:
    """What hands out `images` in batches on `device`: `training(seed, epoch, batch_size)` and `evaluation(batch_size)`.

    Raises:
        UserError: if the padding exceeds the side, or `data.mean` and `data.std` have not one value for each channel.
    """
    return DiskBatches(images, config, device) if isinstance(images, ImageFiles) else Batches(images, config, device)
