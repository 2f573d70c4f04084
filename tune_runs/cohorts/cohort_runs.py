"""The runs of a cohort's trials, in its process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

from ray.actor import ActorHandle

from absgd.datasets import CommonImages, Splits
from tune_runs.cohorts.host import Report
from tune_runs.ray_cluster.image_store import fetch_images
from tune_runs.trial.trainable import trial_steps


class CohortRuns:
    """Makes the runs of trials, with one copy of their images.

    Args:
        image_store: has the images.
    """

    def __init__(self, image_store: ActorHandle) -> None:
        self._image_store = image_store
        self._common = CommonImages()
        self._splits: WeakValueDictionary[str, Splits] = WeakValueDictionary()

    def __call__(self, trial: dict[str, Any]) -> Iterator[Report | None]:
        """The run of a trial; images are fetched when it has its first turn."""
        splits = self._splits.get(trial["images"])
        if splits is None:
            splits = self._splits[trial["images"]] = fetch_images(self._image_store, trial["images"])
        yield from trial_steps(trial, splits, batches_of=self._common.batches)
