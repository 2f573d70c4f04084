"""Batches on the training device: drawn, cropped, flipped, rotated and normalised a whole batch at a time.

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
from absgd.config.sections import DataConfig
from absgd.datasets.batch_shares import WHOLE, Share
from absgd.datasets.epoch_order import EpochOrder
from absgd.datasets.images import Images, Labels, Pixels
from absgd.datasets.registered_dataset import augmentation_of, normalisation_of
from absgd.randomness import torch_generator
from absgd.registry.dataset_table import DATASETS, DatasetSpec


class Batch(NamedTuple):
    """Normalised images of one step, on the device."""

    images_BCHW: Tensor
    """float32; where several processes train on one batch, this process's share of it, which may be empty."""
    labels_B: Tensor
    """Labels of the whole batch, int64."""
    index_B: Tensor
    """Positions of the whole batch in the images it was drawn from, int64."""


class Draw(NamedTuple):
    """Positions and augmentation of the images of a batch; all values are drawn, whether or not they are used."""

    index_B: Tensor
    """Positions in the images, int64."""
    shifts_B2: Tensor
    """Top row and left column of the crop in the padded image, int64."""
    flips_B: Tensor
    """Whether each image is mirrored, bool."""
    angles_deg_B: Tensor
    """Angles of rotation, float32."""


class Normalisation:
    """Images from values in [0, 255] to float32 with the mean 0 and deviation 1 of a run's data, channel by channel.

    Raises:
        UserError: if `data.mean` and `data.std` do not have one value for each channel.
    """

    def __init__(self, config: DataConfig, spec: DatasetSpec, device: torch.device) -> None:
        mean, std = normalisation_of(config, spec)
        self._mean_C11, self._std_C11 = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (mean, std))

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Return float32 images on the device; float32 ones that are given are overwritten."""
        return images_BCHW.to(torch.float32).div_(255).sub_(self._mean_C11).div_(self._std_C11)


class Batches:
    """Images kept as uint8 on a device, and the batches drawn from them.

    Args:
        images: on the CPU their arrays are used without a copy, and never written to.
        config: `data` gives the normalisation, `augmentation` the augmentation of training batches, and `class_balance`
            decides whether an epoch is a permutation or draws by class weight.
        device: holds the images and makes the batches.
        share: the share of every batch that is made here.

    Raises:
        UserError: if the padding exceeds the side of the images, or `data.mean` and `data.std` do not have one value
            for each channel.
    """

    def __init__(self, images: Images, config: RunConfig, device: torch.device, share: Share = WHOLE) -> None:
        spec = DATASETS[config.data.name]
        self._pad, self._flip = augmentation_of(config.augmentation, spec, spec.side)
        self._rotation_deg = config.augmentation.rotation_deg
        self._device = device
        self._share = share
        self._images_NCHW = _shared_tensor(images.images_NCHW).to(device)
        self._labels_N = _shared_tensor(images.labels_N).to(device)
        self._order = EpochOrder(images.labels_N, config, device)
        self._normalised = Normalisation(config.data, spec, device)

    def training(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """One epoch in its random order, augmented: as many images as there are; the last batch may be smaller.

        Every image comes once, except where `class_balance` draws them by class weight. Order and augmentation depend
        on (seed, epoch) and the type of the device alone, and an image's augmentation on its place in the order, not on
        the batch size.
        """
        return map(self.batch_of, self.draws(seed, epoch, batch_size))

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Draw]:
        """The draws of `training` for its batches; `batch_of` makes a batch of each."""
        order_N = self._order.of(seed, epoch)
        whole = self._draw(order_N, torch_generator(seed, "augmentation", epoch, self._device))
        for start in range(0, len(order_N), batch_size):
            yield Draw(*(drawn_N[start : start + batch_size] for drawn_N in whole))

    def batch_of(self, draw: Draw) -> Batch:
        """The augmented batch of a draw, by operations on the device alone, which a CUDA graph can capture."""
        rows = self._share.rows(len(draw.index_B))
        own = Draw(*(drawn_B[rows] for drawn_B in draw))
        return self._batch(self._augmented(self._images_NCHW[own.index_B], own), draw.index_B)

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        """Every image once, in order, not augmented; the last batch may be smaller."""
        index_N = torch.arange(len(self._labels_N), device=self._device)
        for start in range(0, len(index_N), batch_size):
            step = slice(start, start + batch_size)
            yield self._batch(self._images_NCHW[self._own(step, len(index_N))], index_N[step])

    def _own(self, step: slice, num_images: int) -> slice:
        """The rows of this process among those of a step."""
        rows = self._share.rows(min(step.stop, num_images) - step.start)
        return slice(step.start + rows.start, step.start + rows.stop)

    def _draw(self, order_N: Tensor, generator: torch.Generator) -> Draw:
        num_images = len(order_N)
        shifts_N2 = torch.randint(2 * self._pad + 1, (num_images, 2), generator=generator, device=self._device)
        flips_N = torch.rand(num_images, generator=generator, device=self._device) < 0.5
        turns_N = torch.rand(num_images, generator=generator, device=self._device) * 2 - 1
        return Draw(order_N, shifts_N2, flips_N, turns_N * self._rotation_deg)

    def _augmented(self, images_BCHW: Tensor, draw: Draw) -> Tensor:
        if self._pad:
            images_BCHW = crop_padded(images_BCHW, self._pad, draw.shifts_B2)
        if self._flip:
            images_BCHW = flip_some(images_BCHW, draw.flips_B)
        if self._rotation_deg:
            images_BCHW = rotate(images_BCHW, draw.angles_deg_B)
        return images_BCHW

    def _batch(self, images_BCHW: Tensor, index_B: Tensor) -> Batch:
        return Batch(self._normalised(images_BCHW), self._labels_N[index_B], index_B)


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
    """Images, mirrored left to right where `flips_B` (bool) is true."""
    return torch.where(flips_B[:, None, None, None], images_BCHW.flip(3), images_BCHW)


def rotate(images_BCHW: Tensor, angles_deg_B: Tensor) -> Tensor:
    """Images turned counter-clockwise about their centres, bilinear, with zeros outside the original image.

    The pixel at offset (x, y) from the centre, y downwards, takes the value at
    (x cos a - y sin a, x sin a + y cos a).

    Args:
        images_BCHW: any dtype.
        angles_deg_B: floating.

    Returns:
        (B, C, H, W), float32, in the range of the input values.
    """
    height, width = images_BCHW.shape[2:]
    angles_B = torch.deg2rad(angles_deg_B.to(torch.float32))
    cos_B, sin_B, zero_B = angles_B.cos(), angles_B.sin(), torch.zeros_like(angles_B)
    # affine_grid measures x and y in half widths and half heights.
    rows = (cos_B, -sin_B * (height / width), zero_B, sin_B * (width / height), cos_B, zero_B)
    theta_B23 = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid_BHW2 = F.affine_grid(theta_B23, list(images_BCHW.shape), align_corners=False)
    return F.grid_sample(images_BCHW.to(torch.float32), grid_BHW2, align_corners=False)


def _shared_tensor(array: Pixels | Labels) -> Tensor:
    """A tensor over the memory of `array`, which may be read-only: nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        # Through one axis: an axis of size one keeps whatever stride numpy gave it, and torch chooses convolution
        # kernels, and with them the last bits of a result, by strides.
        return torch.from_numpy(array.reshape(-1)).view(array.shape)
