"""The images that runs learn from, one copy on each node of a cluster; import this module inside `ray_session` only.

The driver puts the images into Ray's object store and owns them there. An actor hands out references to them: such
references are borrowed, so the object store can free images that the driver drops.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:  # whoever has a handle of the actor imports this module: no torch for them
    from absgd.datasets import Splits

TIMEOUT_S = 60.0
"""In which the actor answers, a start of its process included; a cluster that takes longer is lost."""


class ImagesLost(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """Nobody knows where images lie."""


class _ImageReferences:
    """Key -> reference to images, each in a list: Ray would fetch what stands in an argument by itself."""

    def __init__(self) -> None:
        self._of: dict[str, list[ray.ObjectRef[Splits]]] = {}

    def put(self, key: str, reference: list[ray.ObjectRef[Splits]]) -> None:
        self._of[key] = reference

    def get(self, key: str) -> list[ray.ObjectRef[Splits]]:
        return self._of.get(key, [])

    def drop(self, key: str) -> None:
        self._of.pop(key, None)


class ImageStore:
    """The driver's side. The actor lives beside the driver, and comes up again, empty, where its process is lost."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        self.actor: ActorHandle = ray.remote(_ImageReferences).options(**options).remote()
        self._references: dict[str, ray.ObjectRef[Splits]] = {}

    def put(self, key: str, splits: Splits) -> Splits:
        """Put images into the object store; returns the same in its memory, so that the given ones may go."""
        self._references[key] = ray.put(splits)
        self.ensure_available(key)
        stored: Splits = ray.get(self._references[key])
        return stored

    def ensure_available(self, key: str) -> None:
        """See that the images of a run that is about to start are found, also where the actor was lost."""
        ray.get(self.actor.put.remote(key, [self._references[key]]), timeout=TIMEOUT_S)

    def drop(self, key: str) -> None:
        """Take images off; the store frees them when no run holds them any more."""
        if self._references.pop(key, None) is not None:
            ray.get(self.actor.drop.remote(key), timeout=TIMEOUT_S)

    def close(self) -> None:
        """End the actor; what is in the store goes with the references."""
        self._references.clear()
        with suppress(RayError):
            ray.kill(self.actor)


def fetch_images(image_store: ActorHandle, key: str) -> Splits:
    """In a worker: the images under a key, in the memory that all runs of the node share; never to be written to.

    Raises:
        ImagesLost: if the actor was lost since they were offered; the run then starts again.
    """
    found = ray.get(image_store.get.remote(key))
    if not found:
        raise ImagesLost(f"no images under {key}")
    splits: Splits = ray.get(found[0])
    return splits
