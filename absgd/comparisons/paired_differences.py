"""Differences between two candidates on the seed pairs that both completed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
EQUAL_WITHIN = 1e-12
"""Differences of scores that are as close as this are the same: the rest is rounding."""


def paired_differences(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Values:
    """Return ours minus theirs on the common pairs, by rising number of the pair."""
    common = sorted(ours.keys() & theirs.keys())
    return np.array([ours[pair] - theirs[pair] for pair in common], dtype=np.float64)


def is_coarse(differences: Values) -> bool:
    """Whether two or more differences take fewer than three values, so that their spread says little.

    >>> is_coarse(np.array([0.02, 0.02, 0.04])), is_coarse(np.array([0.021, 0.019, 0.043]))
    (True, False)
    """
    steps = np.diff(np.sort(differences))
    return len(differences) > 1 and 1 + int((steps > EQUAL_WITHIN).sum()) < min(3, len(differences) + 1)
