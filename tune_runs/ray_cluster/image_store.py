"""The images that runs learn from, one copy on each node of a cluster; import this module inside `ray_session` only.

The driver puts the images into Ray's object store and owns them there. An actor hands out references to them: such
references are borrowed, so the object store can free images that the driver drops.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_runs.ray_cluster.worker_check import START_S, WorkersDoNotStart, logs_folder, raylet_error

if TYPE_CHECKING:  # every process with a handle of the actor imports this module; most need no torch
    from absgd.datasets import Splits

TIMEOUT_S = 60.0
"""Time in which the actor answers, a start of its process included; a cluster that takes longer counts as lost."""
FETCH_S = 900.0
"""Time in which images reach a node; Ray itself gives up after ten minutes without progress."""


class ImagesLost(RuntimeError):  # noqa: N818 - names an event; `tune_runs.trial.failures` knows it
    """The actor has no reference to the images, or they do not arrive."""


class _ImageReferences:
    """Key -> reference to images, each in a list: Ray would fetch the object of a bare reference passed as argument."""

    def __init__(self) -> None:
        self._reference_of: dict[str, list[ray.ObjectRef[Splits]]] = {}

    def put(self, key: str, reference: list[ray.ObjectRef[Splits]]) -> None:
        self._reference_of[key] = reference

    def get(self, key: str) -> list[ray.ObjectRef[Splits]]:
        return self._reference_of.get(key, [])

    def drop(self, key: str) -> None:
        self._reference_of.pop(key, None)


class ImageStore:
    """The driver's side of the store. The actor is on the driver's node; if its process is lost it restarts, empty."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        owner = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(_ImageReferences)
        self.actor: ActorHandle = owner.remote()
        self._references: dict[str, ray.ObjectRef[Splits]] = {}

    def wait_for_start(self, limit_s: float = START_S) -> None:
        """Wait until the actor's process answers, the first one of the session.

        Raises:
            WorkersDoNotStart: if it does not in time.
        """
        try:
            ray.get(self.actor.get.remote(""), timeout=limit_s)
        except GetTimeoutError:
            raise WorkersDoNotStart(
                f"no worker process of Ray started within {limit_s:g} s{raylet_error(logs_folder())}"
            ) from None
        except RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WorkersDoNotStart(f"the first worker of Ray ended: {reason}") from None

    def put(self, key: str, splits: Splits) -> Splits:
        """Put images into the object store; return them in the store's memory, so that the given copy can be freed."""
        self._references[key] = ray.put(splits)
        self.ensure_available(key)
        stored: Splits = ray.get(self._references[key], timeout=FETCH_S)
        return stored

    def ensure_available(self, key: str) -> None:
        """Make sure that a run about to start finds its images, even where the actor was lost."""
        ray.get(self.actor.put.remote(key, [self._references[key]]), timeout=TIMEOUT_S)

    def drop(self, key: str) -> None:
        """Drop images; the object store frees them once no run uses them."""
        if self._references.pop(key, None) is not None:
            ray.get(self.actor.drop.remote(key), timeout=TIMEOUT_S)

    def close(self) -> None:
        """End the actor and drop all images."""
        self._references.clear()
        with suppress(RayError):
            ray.kill(self.actor)


def fetch_images(image_store: ActorHandle, key: str) -> Splits:
    """Return the images under a key, in the memory that all runs of the node share; never write to them.

    Called in a worker.

    Raises:
        ImagesLost: if the actor has restarted since the driver made them available, or they do not arrive in time; the
            run then starts again.
    """
    try:
        found = ray.get(image_store.get.remote(key), timeout=FETCH_S)
        if not found:
            raise ImagesLost(f"no images under {key}")
        splits: Splits = ray.get(found[0], timeout=FETCH_S)
    except GetTimeoutError:
        raise ImagesLost(f"no images under {key} within {FETCH_S:g} s") from None
    return splits
