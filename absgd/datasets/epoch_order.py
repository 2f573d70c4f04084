"""The order in which an epoch shows the training images: each once, or drawn by class weight.

Shape legend: N images, K classes that have images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from absgd.class_weights import effective_number_weights
from absgd.config import RunConfig
from absgd.datasets.images import Labels
from absgd.randomness import torch_generator


class EpochOrder:
    """The order of each epoch: a permutation or, under `resample` from its epoch on, N draws with replacement.

    A draw takes an image of class c with probability w_c / sum_i w_{y_i}, w the effective-number weights: with beta
    near 1 all classes are drawn alike, with beta = 0 in proportion to their sizes.

    Args:
        labels_N: training labels as trained on, after noise, int64.
        config: `class_balance` decides, and the switch epoch of `attention` if it acts from there on.
        device: where orders are drawn; devices of one type give the same order.

    Source: arXiv 1906.07413's published code, train rule `Resample`; weights of arXiv 1901.05555, equation 4.
    """

    def __init__(self, labels_N: Labels, config: RunConfig, device: torch.device) -> None:
        self._num_images = len(labels_N)
        self._device = device
        self._resample_from: int | None = None
        if config.class_balance.type == "resample":
            self._resample_from = config.class_balance_epoch
            self._cumulative_N = _cumulative_probability(labels_N, config.class_balance.beta).to(device)

    def of(self, seed: int, epoch: int) -> Tensor:
        """order_N: positions in the training images, int64, shape (N,), on the device; a function of (seed, epoch)."""
        generator = torch_generator(seed, "order", epoch, self._device)
        if self._resample_from is None or epoch < self._resample_from:
            return torch.randperm(self._num_images, generator=generator, device=self._device)
        drawn_N = torch.rand(self._num_images, dtype=torch.float64, generator=generator, device=self._device)
        return torch.searchsorted(self._cumulative_N, drawn_N, right=True)


def _cumulative_probability(labels_N: Labels, beta: float) -> Tensor:
    """P(position <= i) of a draw, float64, shape (N,); summed on the CPU, where it is the same every time."""
    _, class_N, count_K = np.unique(labels_N, return_inverse=True, return_counts=True)
    weight_K = effective_number_weights(count_K.tolist(), beta).numpy()
    cumulative_N = np.cumsum(weight_K[class_N])
    return torch.from_numpy(cumulative_N / cumulative_N[-1])
