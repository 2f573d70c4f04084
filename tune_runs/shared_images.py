"""Images of a user's own Tuner: read once, and kept in Ray's object store for all trials on the same data.

No driver of ours puts them there, and a trial may end before those that use its images. So a named actor reads and owns
them; it is detached, since it must outlive the trial that starts it, and ends itself when no trial has asked for long.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from contextlib import suppress

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.registry.plugin_table import plugin_of

IDLE_S = 600.0
"""Time after the last question for the images, after which their owner ends; trials that have them keep them."""
_ATTEMPTS = 3
_NAMESPACE = "absgd-images"


class _ImageOwner:
    """Reads the images of a run on the first question, and gives references to them."""

    def __init__(self, config: RunConfig, idle_s: float) -> None:
        self._config, self._idle_s = config, idle_s
        self._reference: ray.ObjectRef[Splits] | None = None
        self._answered_at = time.monotonic()
        own = ray.get_runtime_context().current_actor
        threading.Thread(target=self._end_when_idle, args=[own], daemon=True).start()

    def images(self) -> list[ray.ObjectRef[Splits]]:
        """Return the reference in a list: Ray would fetch the object of a bare one."""
        try:
            if self._reference is None:
                self._reference = ray.put(load_splits(self._config))
            return [self._reference]
        finally:
            self._answered_at = time.monotonic()

    def end_if_idle(self) -> None:
        """End this process, unless there was a question; called in turn with questions, so never while it reads."""
        if time.monotonic() - self._answered_at >= self._idle_s:
            ray.actor.exit_actor()

    def _end_when_idle(self, own: ActorHandle) -> None:
        while True:
            time.sleep(max(0.1, self._answered_at + self._idle_s - time.monotonic()))
            with suppress(RayError):
                ray.get(own.end_if_idle.remote())


def images_name(config: RunConfig) -> str:
    """Return the name of the actor that owns the images of a run.

    It is a hash of the settings of data, imbalance, noise and data seed, and of the plugin that declares the data set:
    a file that is changed between two Tuners of one session may read other images.
    """
    settings, plugin = config.to_dict(), plugin_of("data", config.data.name)
    decisive = {name: settings[name] for name in ("data", "imbalance", "noise")}
    decisive |= {"seed": config.seeds.data, "plugin": plugin and plugin.identity}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def shared_images(config: RunConfig, idle_s: float = IDLE_S) -> Splits:
    """Return the images of a run, in the memory that all trials of the node share; never write to them.

    Called in a worker. Runs of equal `images_name` share them.

    Raises:
        UserError: if they cannot be read.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {
        "name": images_name(config),
        "namespace": _NAMESPACE,
        "get_if_exists": True,
        "lifetime": "detached",
        "num_cpus": 0,
    }
    for attempt in range(_ATTEMPTS):
        owner = ray.remote(_ImageOwner).options(**options, scheduling_strategy=here).remote(config, idle_s)
        try:
            splits: Splits = ray.get(ray.get(owner.images.remote())[0])
        except RayTaskError as error:
            raise error.cause from None
        except RayActorError:
            if attempt == _ATTEMPTS - 1:  # it may have ended just before the question
                raise
            continue
        return splits
    raise AssertionError("unreachable")
