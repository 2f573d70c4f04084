"""Images that the trials of a user's own Tuner share."""

from __future__ import annotations

from typing import Any

import pytest
import ray as rays
from ray.util import list_named_actors

from absgd.datasets import load_splits
from absgd.errors import UserError
from tests.support.waiting import wait_until
from tune_runs.own_tuner import run_of
from tune_runs.shared_images import shared_images

DIGITS: dict[str, Any] = {"data": {"name": "digits", "val_per_class": 7}, "loss": {"name": "ce"}, "epochs": 2}


def owners() -> set[str]:
    return {one["name"] for one in list_named_actors(True) if one["namespace"] == "absgd-images"}


def test_images_are_read_once_and_freed_when_nobody_asks(ray: None) -> None:
    earlier = owners()
    run, other_rate = run_of(DIGITS), run_of({**DIGITS, "optimizer.lr": 0.5})
    first = shared_images(run, idle_s=4.0)
    (name,) = owners() - earlier
    reader = rays.get_actor(name, namespace="absgd-images")
    assert shared_images(other_rate, idle_s=4.0).hash == first.hash == load_splits(run).hash
    assert owners() - earlier == {name}
    assert rays.get_actor(name, namespace="absgd-images") == reader
    wait_until(lambda: name not in owners())
    assert (first.train.labels_N == load_splits(run).train.labels_N).all(), "those who have them keep them"
    assert shared_images(run, idle_s=1.0).hash == first.hash, "they are read again"


def test_images_that_cannot_be_read_are_the_error_of_the_trial(ray: None) -> None:
    run = run_of({**DIGITS, "data": {"name": "cifar10", "root": "/nowhere"}})
    with pytest.raises(UserError, match="/nowhere"):
        shared_images(run, idle_s=1.0)
