"""Images in Ray's object store: found by workers, even after the actor was lost, and freed when they are dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ray.exceptions import RayTaskError

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.datasets.images import Images
from tests.support.waiting import wait_until
from tune_runs.trial.failures import cause_of

if TYPE_CHECKING:
    from tune_runs.ray_cluster.image_store import ImageStore

CONFIG = RunConfig.from_dict({"data": {"name": "digits", "n_max": 10, "val_per_class": 5}, "loss": {"name": "ce"}})


@pytest.fixture
def image_store(ray: None) -> Iterator[ImageStore]:
    from tune_runs.ray_cluster.image_store import ImageStore

    with closing(ImageStore()) as image_store:
        yield image_store


def sum_in_a_worker(image_store: ImageStore, key: str) -> int:
    import ray

    from tune_runs.ray_cluster.image_store import fetch_images

    def total(actor: object) -> int:
        train = fetch_images(actor, key).train  # type: ignore[arg-type]
        assert isinstance(train, Images)
        assert not train.images_NCHW.flags.writeable, "the memory that all runs of a node share"
        return int(train.images_NCHW.sum())

    found: int = ray.get(ray.remote(total).options(num_cpus=0).remote(image_store.actor))
    return found


def test_worker_finds_the_drivers_images_and_the_driver_keeps_no_copy(image_store: ImageStore) -> None:
    splits = load_splits(CONFIG)
    stored = image_store.put("a/0", splits)
    assert isinstance(stored.train, Images)
    assert isinstance(splits.train, Images)
    assert not stored.train.images_NCHW.flags.writeable
    assert stored.hash == splits.hash
    assert sum_in_a_worker(image_store, "a/0") == int(splits.train.images_NCHW.sum())


def test_images_are_offered_again_after_the_actor_was_lost(image_store: ImageStore) -> None:
    import ray

    splits = load_splits(CONFIG)
    stored = image_store.put("a/0", splits)
    ray.kill(image_store.actor, no_restart=False)
    wait_until(lambda: not ray.get(image_store.actor.get.remote("a/0")))  # it comes up empty
    with pytest.raises(RayTaskError, match="ImagesLost") as error:
        sum_in_a_worker(image_store, "a/0")
    assert cause_of(str(error.value)).is_lost, "the run starts again"
    image_store.ensure_available("a/0")
    assert isinstance(stored.train, Images)
    assert sum_in_a_worker(image_store, "a/0") == int(stored.train.images_NCHW.sum())


def test_dropped_images_are_freed(image_store: ImageStore) -> None:
    """Ray frees an object when neither its owner, the driver, nor a borrower holds a reference."""
    from ray._private.worker import global_worker

    image_store.put("a/0", load_splits(CONFIG))
    sum_in_a_worker(image_store, "a/0")
    name = image_store._references["a/0"].hex().encode()
    assert name in global_worker.core_worker.get_all_reference_counts()
    image_store.drop("a/0")
    wait_until(lambda: name not in global_worker.core_worker.get_all_reference_counts())
