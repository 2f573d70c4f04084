"""A search does not import the trackers that Ray knows: Tune would, to count callbacks for statistics that are off."""

from __future__ import annotations

from ray.air._internal import usage
from ray.tune import Callback, tune

from tune_runs.driver.uncounted_callbacks import callbacks_uncounted


def test_callbacks_are_counted_outside_the_block_only() -> None:
    count = usage.tag_callbacks
    with callbacks_uncounted():
        assert tune.air_usage.tag_callbacks([Callback()]) is False
        assert usage.tag_callbacks is not count
    assert usage.tag_callbacks is count
    assert {"air_usage", "tag_callbacks"} <= set(tune.run.__code__.co_names)
