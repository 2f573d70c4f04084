"""The processes of one trial: rank 0 is the trial's own, the others are Ray tasks beside it in its placement group.

Not Ray Train's TorchTrainer: inside a trial it leaks its own placement group when the trial is stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError, RayTaskError
from ray.tune import PlacementGroupFactory
from ray.util.placement_group import PlacementGroup, get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from absgd.config import RunConfig
from absgd.training.local_ranks import follow
from absgd.training.ranks.interface import ALONE, Ranks
from absgd.training.ranks.process_group import Rendezvous, following, leading
from tune_runs.ray_cluster.image_store import fetch_images
from tune_runs.space.resources import ResourcesConfig

LET_END_S = 1.0
"""In which the other ranks end by themselves; Tune waits for a stopped trial 2 s before it starts a new process."""


def placement(resources: ResourcesConfig) -> PlacementGroupFactory:
    """What a trial occupies: a bundle for each of its processes, all on one node; of a cohort its part of the process.

    Not spread over nodes: batch norm and gradients talk at every step, and trials are counted by node.
    """
    return PlacementGroupFactory([resources.bundle] * resources.ranks, strategy="STRICT_PACK")


@contextmanager
def trial_ranks(trial: dict[str, Any], config: RunConfig, image_store: ActorHandle) -> Iterator[Ranks]:
    """In the process of a trial: its rank 0, the others started; they end with the block, whatever ends it.

    Args:
        trial: from `trial_config`.
        config: of its run.
        image_store: has the images.

    Raises:
        RanksLost, RankFailed, UserError: as `absgd.training.ranks.process_group.leading`.
    """
    if config.device.ranks == 1:
        yield ALONE
        return
    group = get_current_placement_group()
    assert group is not None, "a trial of several processes has a placement group"

    def start(rendezvous: Rendezvous) -> _Tasks:
        return _Tasks(trial, image_store, rendezvous, group)

    with leading(config.device.ranks, ray.util.get_node_ip_address(), start, _backend(config)) as ranks:
        yield ranks


class _Tasks:
    """The other ranks of a trial; Ray ends them too when the trial's process or its placement group goes."""

    def __init__(
        self, trial: dict[str, Any], image_store: ActorHandle, rendezvous: Rendezvous, group: PlacementGroup
    ) -> None:
        self._tasks = {
            _task(group, rank).remote(trial, image_store, rendezvous, rank): rank for rank in range(1, rendezvous.size)
        }

    def lost(self) -> str | None:
        """A task whose process or node is gone; one that raised has told rank 0 itself."""
        ended, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        for task in ended:
            try:
                ray.get(task)
            except RayTaskError:
                continue
            except RayError as error:
                return f"rank {self._tasks[task]}: {type(error).__name__}: {str(error).splitlines()[0]}"
        return None

    def end(self) -> None:
        """Let them end, then kill what has not."""
        _, left = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=LET_END_S)
        for task in left:
            ray.cancel(task, force=True)


def _task(group: PlacementGroup, rank: int) -> Any:
    """A task in the bundle of a rank, with all that is in it.

    On a GPU each has a new process: one that has used CUDA stays with its card, whatever card the next task is given.
    Ray sees to that by itself only where the GPUs are said without `options`.
    """
    bundle = group.bundle_specs[rank]
    remote = ray.remote(max_calls=1)(_follow_trial) if bundle.get("GPU") else ray.remote(_follow_trial)
    return remote.options(
        name=f"rank {rank}",
        num_cpus=bundle.get("CPU", 0),
        num_gpus=bundle.get("GPU", 0),
        max_retries=0,
        scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
    )


def _follow_trial(trial: dict[str, Any], image_store: ActorHandle, rendezvous: Rendezvous, rank: int) -> None:
    config = RunConfig.from_dict(trial["run_config"])
    with following(rendezvous, rank, _backend(config)) as ranks:
        follow(config, fetch_images(image_store, trial["images"]), ranks)


def _backend(config: RunConfig) -> str:
    return "nccl" if config.device.type == "cuda" else "gloo"
