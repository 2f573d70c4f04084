"""Batches on the training device: drawn, cropped, flipped and normalised a whole batch at a time.

Shape legend: N images resident on the device, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from absgd.config import RunConfig
from absgd.datasets.build import DATASETS, augmentation_of
from absgd.datasets.images import Images, Labels, Pixels
from absgd.randomness import torch_generator


class Batch(NamedTuple):
    """Normalised images of one step, on the device."""

    images_BCHW: Tensor
    """float32."""
    labels_B: Tensor
    """int64."""
    index_B: Tensor
    """Positions in the images the batch was drawn from, int64."""


class Batches:
    """Images kept as uint8 on a device, and the batches drawn from them.

    Args:
        images: on the CPU their arrays are used as they are, without a copy, and never written to.
        config: `data.name` gives the normalisation, `augmentation` what is done to training batches.
        device: where the images lie and the batches are made.

    Raises:
        UserError: if the padding exceeds the side of the images.
    """

    def __init__(self, images: Images, config: RunConfig, device: torch.device) -> None:
        spec = DATASETS[config.data.name]
        self._pad, self._flip = augmentation_of(config.augmentation, spec)
        self._device = device
        self._images_NCHW = _shared_tensor(images.images_NCHW).to(device)
        self._labels_N = _shared_tensor(images.labels_N).to(device)
        self._mean = torch.tensor(spec.mean, device=device).view(-1, 1, 1)
        self._std = torch.tensor(spec.std, device=device).view(-1, 1, 1)

    def training(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """One epoch: every image once, in random order, augmented; the last batch may be smaller.

        Order and augmentation depend on (seed, epoch) and the type of the device alone, and an image's
        augmentation on its place in the order, not on the batch size.
        """
        num_images = len(self._labels_N)
        order_N = torch.randperm(
            num_images, generator=torch_generator(seed, "order", epoch, self._device), device=self._device
        )
        generator = torch_generator(seed, "augmentation", epoch, self._device)
        shifts_N2 = torch.randint(2 * self._pad + 1, (num_images, 2), generator=generator, device=self._device)
        flips_N = torch.rand(num_images, generator=generator, device=self._device) < 0.5
        for start in range(0, num_images, batch_size):
            step = slice(start, start + batch_size)
            images_BCHW = self._images_NCHW[order_N[step]]
            if self._pad:
                images_BCHW = crop_padded(images_BCHW, self._pad, shifts_N2[step])
            if self._flip:
                images_BCHW = flip_some(images_BCHW, flips_N[step])
            yield self._batch(images_BCHW, order_N[step])

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """Every image once, in order, not augmented; the last batch may be smaller."""
        index_N = torch.arange(len(self._labels_N), device=self._device)
        for start in range(0, len(index_N), batch_size):
            step = slice(start, start + batch_size)
            yield self._batch(self._images_NCHW[step], index_N[step])

    def _batch(self, images_BCHW: Tensor, index_B: Tensor) -> Batch:
        scaled_BCHW = images_BCHW.to(torch.float32).div_(255)
        return Batch(scaled_BCHW.sub_(self._mean).div_(self._std), self._labels_N[index_B], index_B)


def crop_padded(images_BCHW: Tensor, pad: int, shifts_B2: Tensor) -> Tensor:
    """Crops of the original size out of images padded with zeros on all sides.

    Args:
        images_BCHW: any dtype.
        pad: zero pixels on each side.
        shifts_B2: top row and left column of each crop in the padded image, int64 in [0, 2 * pad].

    Returns:
        (B, C, H, W), of the same dtype.
    """
    num_images, _, height, width = images_BCHW.shape
    padded = F.pad(images_BCHW, (pad, pad, pad, pad))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (B, C, 2 pad + 1, 2 pad + 1, H, W)
    row_B, column_B = shifts_B2.unbind(dim=1)
    return windows[torch.arange(num_images, device=images_BCHW.device), :, row_B, column_B]


def flip_some(images_BCHW: Tensor, flips_B: Tensor) -> Tensor:
    """Images mirrored left to right where `flips_B` (bool) says so."""
    return torch.where(flips_B[:, None, None, None], images_BCHW.flip(3), images_BCHW)


def _shared_tensor(array: Pixels | Labels) -> Tensor:
    """A tensor over the memory of `array`, which may be read-only: nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        # By way of one axis: an axis of size one keeps whatever stride numpy gave it, and torch picks its convolution
        # kernels, and with them the last bits of a result, by strides.
        return torch.from_numpy(array.reshape(-1)).view(array.shape)
