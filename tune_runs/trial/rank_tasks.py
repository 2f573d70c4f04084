"""The processes of one trial: rank 0 is the trial's own, the others are Ray tasks in the same placement group.

Ray Train's TorchTrainer is not used: inside a trial it leaks its placement group when the trial is stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError, RayTaskError
from ray.tune import PlacementGroupFactory
from ray.util.placement_group import PlacementGroup, get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from absgd.config import RunConfig
from absgd.datasets import Splits
from absgd.output_streams import prepare_process
from absgd.training.local_ranks import follow
from absgd.training.ranks.alone import ALONE, Ranks
from absgd.training.ranks.process_group import Rendezvous, following, leading
from tune_runs.ray_cluster.image_store import fetch_images
from tune_runs.space.resources import ResourcesConfig
from tune_runs.trial.trial_plan import TrialTask

LET_END_S = 1.0
"""Time in which the other ranks may end by themselves; Tune gives a stopped trial 2 s, then starts a new process."""


def placement(resources: ResourcesConfig) -> PlacementGroupFactory:
    """Return what Ray reserves for a trial: a bundle for each of its processes, or in a cohort its part of one process.

    All bundles are on one node: batch norm and gradients communicate at every step, and trials are counted by node.
    """
    return PlacementGroupFactory([resources.bundle] * resources.ranks, strategy="STRICT_PACK")


@contextmanager
def trial_ranks(task: TrialTask, image_store: ActorHandle) -> Iterator[tuple[Ranks, Splits]]:
    """Start the other ranks from the trial's process and yield rank 0; they end with the block, however it ends.

    Args:
        task: the trial.
        image_store: has the images.

    Returns:
        Rank 0, and the trial's images.

    Raises:
        RanksLost, RankFailed, UserError: as `absgd.training.ranks.process_group.leading`.
    """
    config = task.config
    fetch = partial(fetch_images, image_store, task.images_key)
    if config.device.ranks == 1:
        yield ALONE, fetch()
        return
    group = get_current_placement_group()
    assert group is not None, "a trial of several processes has a placement group"

    def followers_at(rendezvous: Rendezvous) -> _RankTasks:
        return _RankTasks(task, image_store, rendezvous, group)

    with leading(config.device.ranks, ray.util.get_node_ip_address(), followers_at, fetch, _backend(config)) as joined:
        yield joined


class _RankTasks:
    """A trial's other ranks as Ray tasks; Ray ends them too when the trial's process or placement group ends."""

    def __init__(
        self, task: TrialTask, image_store: ActorHandle, rendezvous: Rendezvous, group: PlacementGroup
    ) -> None:
        self._task, self._image_store, self._rendezvous, self._group = task, image_store, rendezvous, group
        self._rank_of: dict[Any, int] = {}

    def start(self) -> None:
        for rank in range(1, self._rendezvous.size):
            remote = _rank_task(self._group, rank)
            self._rank_of[remote.remote(self._task, self._image_store, self._rendezvous, rank)] = rank

    def lost(self) -> str | None:
        """Describe a rank whose process or node is gone; one that raised an error has reported it to rank 0 itself."""
        ended, _ = ray.wait(list(self._rank_of), num_returns=len(self._rank_of), timeout=0)
        for task in ended:
            try:
                ray.get(task)
            except RayTaskError:
                continue
            except RayError as error:
                return f"rank {self._rank_of[task]}: {type(error).__name__}: {str(error).splitlines()[0]}"
        return None

    def end(self) -> None:
        """Wait for the ranks to end, then kill those that have not."""
        if not self._rank_of:
            return
        _, left = ray.wait(list(self._rank_of), num_returns=len(self._rank_of), timeout=LET_END_S)
        for task in left:
            ray.cancel(task, force=True)


def _rank_task(group: PlacementGroup, rank: int) -> Any:
    """Return the remote function of a rank, which has all resources of the rank's bundle.

    On a GPU each task has a new process: a process that has used CUDA stays on its GPU, whichever GPU the next task is
    given. Ray takes care of that only where the number of GPUs is given without `options`.
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


def _follow_trial(task: TrialTask, image_store: ActorHandle, rendezvous: Rendezvous, rank: int) -> None:
    prepare_process()
    fetch = partial(fetch_images, image_store, task.images_key)
    with following(rendezvous, rank, fetch, _backend(task.config)) as (ranks, splits):
        follow(task.config, splits, ranks)


def _backend(config: RunConfig) -> str:
    return "nccl" if config.device.type == "cuda" else "gloo"
