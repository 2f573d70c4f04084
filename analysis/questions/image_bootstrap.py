"""Bootstrap of a difference of two candidates over test images and seeds at once.

Shape legend: N images, S pairs of seeds, R resamples, C classes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from analysis.questions.image_outcomes import Counts, Floats

ImageMetric = Literal["accuracy", "balanced_accuracy", "loss"]
"""Metrics that are means over images, or over classes of such means."""
IMAGE_METRICS: tuple[ImageMetric, ...] = get_args(ImageMetric)
NUM_RESAMPLES = 2000
_CELLS = 4_000_000
"""Most drawn images in memory at once."""


class ResampledDifference(NamedTuple):
    """A difference with a percentile interval."""

    difference: float
    """Mean over the seeds, on all images."""
    low: float
    high: float


def resampled_difference(
    differences_SN: Floats, labels_N: Counts, metric: ImageMetric, level: float = 0.05, seed: int = 0
) -> ResampledDifference:
    """Return the difference of two candidates, with the percentile interval of resamples of images and of seeds.

    Each resample draws N images and S seeds with replacement; every drawn seed is measured on the same drawn images, so
    both kinds of luck are in the interval. It is somewhat too wide rather than too narrow. With one seed, images alone
    are drawn.

    Args:
        differences_SN: of each seed's runs on each test image, float64: of correctness (0 or 1), or of -log p_y.
        labels_N: labels of the images.
        metric: `balanced_accuracy` averages within each class first, the others over all images.
        level: probability outside the interval.
        seed: of the draws.

    Source: arXiv 0712.1111, section 3 (the bootstrap of rows and columns, there called pigeonhole bootstrap).
    """
    num_seeds, num_images = differences_SN.shape
    generator = np.random.default_rng(seed)
    order_N = np.argsort(labels_N, kind="stable")
    sorted_SN, class_N = differences_SN[:, order_N], np.unique(labels_N[order_N], return_inverse=True)[1]
    if metric != "balanced_accuracy":
        class_N = np.zeros_like(class_N)
    found: list[Floats] = []
    left = NUM_RESAMPLES
    while left:
        num = min(left, max(1, _CELLS // num_images))
        means_RS = _weights(_draws(generator, num, num_images), class_N) @ sorted_SN.T
        seeds_RS = _draws(generator, num, num_seeds) / num_seeds
        found.append((means_RS * seeds_RS).sum(axis=1))
        left -= num
    low, high = np.quantile(np.concatenate(found), [level / 2, 1 - level / 2])
    whole_N = _weights(np.ones((1, num_images)), class_N)
    return ResampledDifference(float((whole_N @ sorted_SN.T).mean()), float(low), float(high))


def _draws(generator: np.random.Generator, num: int, size: int) -> Floats:
    """Return how often each of `size` things is drawn in each of `num` resamples, shape (num, size)."""
    drawn = generator.integers(size, size=(num, size)) + size * np.arange(num)[:, None]
    return np.bincount(drawn.reshape(-1), minlength=num * size).reshape(num, size).astype(np.float64)


def _weights(counts_RN: Floats, class_N: Counts) -> Floats:
    """Return the weight of each image in a mean over the classes drawn of the means within them."""
    starts_C = np.flatnonzero(np.diff(class_N, prepend=-1))
    total_RC = np.add.reduceat(counts_RN, starts_C, axis=1)
    share_RC = np.divide(1.0, total_RC, out=np.zeros_like(total_RC), where=total_RC > 0)
    share_RC /= (total_RC > 0).sum(axis=1, keepdims=True)
    return counts_RN * share_RC[:, class_N]
