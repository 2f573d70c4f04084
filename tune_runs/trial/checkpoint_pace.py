"""The pace of checkpoints: a run saves itself as often as that costs little beside its training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST_OF_TRAINING = 0.02
"""Largest share of the time of training that goes into checkpoints, except the first and the last one of a run."""


class CheckpointPace:
    """Decides after which epochs a run saves itself.

    It does after every epoch that takes 50 times as long as saving. Where epochs are shorter it skips some, and a kill
    costs the epochs since the last checkpoint: no more training than 50 times the seconds that saving takes.
    """

    def __init__(self) -> None:
        self._cost_s = 0.0
        self._trained_s = 0.0

    def is_due(self, epoch_s: float) -> bool:
        """Count the seconds of an epoch just trained, and return whether the run is to be saved after it."""
        self._trained_s += epoch_s
        return self._cost_s <= MOST_OF_TRAINING * self._trained_s

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time the saving in the block, also where it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._cost_s, self._trained_s = time.perf_counter() - start, 0.0
