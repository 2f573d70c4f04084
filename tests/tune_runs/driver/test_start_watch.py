"""The wait for workers that do not start has a bound."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tune_runs.driver.start_watch import GIVE_UP_S, SAY_AFTER_S, StartWatch
from tune_runs.driver.stop_request import StopRequest


class Watched:
    """A watch with a clock of its own."""

    def __init__(self, is_local: bool) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.stop = StopRequest()
        self.watch = StartWatch(
            self.stop, is_local, self.said.append, lambda: "; its raylet says: no bash", lambda: self.now
        )

    def wait(self, seconds: float, *states: str, step_s: float = 5.0) -> None:
        for _ in range(round(seconds / step_s)):
            self.now += step_s
            self.watch.on_step_end(iteration=1, trials=[SimpleNamespace(status=state) for state in states])


def test_local_search_ends_with_the_error_of_the_raylet() -> None:
    watched = Watched(is_local=True)
    watched.wait(SAY_AFTER_S - 5, "PENDING", "TERMINATED")
    assert watched.said == []
    watched.wait(10, "PENDING")
    assert watched.said == ["note: no trial runs for 60 s; waiting until Ray starts a worker"]
    assert watched.stop.failure is None
    watched.wait(GIVE_UP_S, "PENDING")
    assert watched.stop.failure == "Ray started no worker for 600 s; its raylet says: no bash"
    assert len(watched.said) == 1


def test_search_on_a_cluster_waits_and_says_so() -> None:
    watched = Watched(is_local=False)
    watched.wait(3 * GIVE_UP_S, "PENDING")
    assert watched.said == ["note: no trial runs for 60 s; waiting until a node of the cluster has room for a trial"]
    assert watched.stop.failure is None


@pytest.mark.parametrize("states", [("RUNNING", "PENDING"), ("RUNNING",), ("TERMINATED",), ()])
def test_running_trial_or_none_to_start_ends_the_wait(states: tuple[str, ...]) -> None:
    watched = Watched(is_local=True)
    watched.wait(GIVE_UP_S - 5, "PENDING")
    watched.wait(5, *states)
    watched.wait(GIVE_UP_S - 5, "PENDING")
    assert watched.stop.failure is None


def test_stopped_driver_does_not_count() -> None:
    watched = Watched(is_local=True)
    watched.wait(10 * GIVE_UP_S, "PENDING", step_s=5 * GIVE_UP_S)
    assert watched.stop.failure is None
