"""A search does not import the trackers that Ray knows, which Tune does to count callbacks for its statistics."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from ray.air._internal import usage
from ray.tune import Callback, tune

from tune_runs.driver import drive
from tune_runs.driver.uncounted_callbacks import callbacks_uncounted


def test_callbacks_are_counted_outside_the_block_only() -> None:
    count = usage.tag_callbacks
    with callbacks_uncounted():
        assert tune.air_usage.tag_callbacks([Callback()]) is False
        assert usage.tag_callbacks is not count
    assert usage.tag_callbacks is count
    assert {"air_usage", "tag_callbacks"} <= set(tune.run.__code__.co_names)


def test_search_starts_in_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    count, while_it_runs = usage.tag_callbacks, []

    class Tuner:
        def __init__(self, *_given: Any, **_named: Any) -> None: ...

        def fit(self) -> None:
            while_it_runs.append(usage.tag_callbacks)

    monkeypatch.setattr(drive.tune, "Tuner", Tuner)
    monkeypatch.setattr(drive, "_trainable", lambda *_: nullcontext())
    search: Any = SimpleNamespace(searcher=SimpleNamespace(is_done=False), scheduler=None, callbacks=[], stop=None)
    nothing: Any = None
    drive._train_with_ray(nothing, nothing, 1, search, [])
    assert len(while_it_runs) == 1
    assert while_it_runs[0] is not count
