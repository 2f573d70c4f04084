"""Imbalance as pure functions of labels: how many images each class keeps, and which ones.

Shape legend: N images in, M images kept, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from absgd.counts import plural
from absgd.datasets.images import Indices, Labels
from absgd.errors import UserError

_Share = Callable[[float, int, int], float]


def _unchanged(_ratio: float, _class_index: int, _num_classes: int) -> float:
    return 1.0


def _exponential(ratio: float, class_index: int, num_classes: int) -> float:
    return float(ratio ** (class_index / max(num_classes - 1, 1)))


def _one_step(ratio: float, class_index: int, num_classes: int) -> float:
    return 1.0 if class_index < num_classes // 2 else ratio


IMBALANCES: Mapping[str, _Share] = {"none": _unchanged, "exp": _exponential, "step": _one_step}
"""Imbalance type -> share of `n_max` that a class keeps, from the ratio, the class index and the number of classes."""


def class_counts(type: str, ratio: float, n_max: int, num_classes: int) -> tuple[int, ...]:
    """Training images that each class keeps, classes in index order.

    With rho the ratio and c the class index: `exp` gives int(n_max * rho^(c / (C - 1))); `step` gives n_max to the
    first C // 2 classes and int(n_max * rho) to the rest; `none` gives n_max to each. A product that is whole
    except for float rounding counts as whole.

    >>> class_counts("exp", 0.01, 5000, 10)
    (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)

    Args:
        type: a key of `IMBALANCES`.
        ratio: smallest class over largest, in (0, 1].
        n_max: images of the largest class.
        num_classes: C.

    Raises:
        UserError: if a class would keep no image.

    Source: arXiv 1901.05555 (`exp`); arXiv 1710.05381 (`step`).
    """
    share = IMBALANCES[type]
    counts = tuple(_whole(n_max * share(ratio, c, num_classes)) for c in range(num_classes))
    if 0 in counts:
        raise UserError(
            f"expected at least 1 training image of every class, got 0 of class {counts.index(0)}: its share of "
            f"{plural(n_max, 'image')} (the largest class) at ratio {ratio:g} is below 1; raise `imbalance.ratio`, or "
            "`data.n_max` where it is set, or lower `data.val_per_class` (imbalance.ratio)"
        )
    return counts


def subsample(labels_N: Labels, counts: Sequence[int], generator: np.random.Generator) -> Indices:
    """Draw the images that stay, uniformly without replacement, `counts` of each class.

    For one generator state, the images of smaller counts are among the images of larger counts.

    Args:
        labels_N: int64 labels in [0, C).
        counts: images to keep of each class, C of them.
        generator: source of the draws.

    Returns:
        index_M: int64 positions in `labels_N`, rising.

    Raises:
        UserError: if a class has fewer images than asked for.
    """
    kept = []
    for label, count in enumerate(counts):
        members = np.flatnonzero(labels_N == label)
        if count > len(members):
            raise UserError(f"expected at least {plural(count, 'image')} of class {label}, got {len(members)}")
        kept.append(generator.permutation(members)[:count])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _whole(value: float) -> int:
    """`value` rounded down, unless it is below a whole number by float rounding alone."""
    return math.floor(round(value, 9))
