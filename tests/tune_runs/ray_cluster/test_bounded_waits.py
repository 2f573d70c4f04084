"""A wait for another process has a bound, after which the process counts as lost and the run starts again."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import GetTimeoutError

from tune_runs.cohorts import member
from tune_runs.cohorts.messages import CohortAccess, HostPlacement
from tune_runs.ray_cluster.image_store import FETCH_S, ImagesLost, fetch_images
from tune_runs.trial.failures import cause_of


class Remote:
    """An actor whose methods return their own names."""

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *_: name)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the calls of one method time out, and others answer."""

    def set_silent(method: str) -> None:
        def get(called: Any, timeout: float | None = None) -> Any:
            assert timeout is not None, f"the wait for {called} has a bound"
            if called == method:
                raise GetTimeoutError("Get timed out")
            return [[called]] if called == "get" else Remote()

        monkeypatch.setattr(ray, "get", get)

    return set_silent


def test_images_that_do_not_arrive_are_lost(silent: Callable[[str], None]) -> None:
    silent("get")
    with pytest.raises(ImagesLost, match=f"within {FETCH_S:g} s"):
        fetch_images(Remote(), "key")


@pytest.mark.parametrize("method", ["seat", "join", "next_report"])
def test_cohort_that_does_not_answer_is_lost(
    silent: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    silent(method)
    monkeypatch.setattr(member, "_placement", lambda: HostPlacement("node", None))
    monkeypatch.setattr(member, "host_id", lambda _: "host")
    task: Any = SimpleNamespace(trial_id="a")
    with pytest.raises(member.CohortLost):
        next(member._reports(task, CohortAccess(Remote(), 2, Remote())))


def test_lost_processes_start_again() -> None:
    for name in ("ImagesLost", "CohortLost"):
        assert cause_of(f'Traceback (most recent call last):\n  File "x"\n{name}: no answer within 600 s').is_lost
