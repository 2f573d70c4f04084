"""The runs of a cohort's trials, in the process of its host."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakValueDictionary

from ray.actor import ActorHandle

from absgd.datasets import CommonImages, Splits
from tune_runs.ray_cluster.image_store import fetch_images
from tune_runs.trial.trainable import trial_steps
from tune_runs.trial.trial_plan import TrialTask
from tune_runs.trial.trial_reports import TrialReport


class CohortRuns:
    """Starts the runs of trials, all with one copy of their images.

    Args:
        image_store: has the images.
    """

    def __init__(self, image_store: ActorHandle) -> None:
        self._image_store = image_store
        self._common = CommonImages()
        self._splits: WeakValueDictionary[str, Splits] = WeakValueDictionary()

    def __call__(self, task: TrialTask) -> Iterator[TrialReport | None]:
        """Train a trial as `trial_steps`; its images are fetched at its first turn."""
        splits = self._splits.get(task.images_key)
        if splits is None:
            splits = self._splits[task.images_key] = fetch_images(self._image_store, task.images_key)
        yield from trial_steps(task, splits, batches_of=self._common.batches)
