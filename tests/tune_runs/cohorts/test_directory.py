"""Cohorts in a search: the resources that a space may give and a trial occupies, and the seats of the directory."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from rich.console import Console

from tests.support.spaces import make, preview_of, refusal
from tune_runs.preview.preview_drawing import draw_preview
from tune_runs.space.resources import ResourcesConfig
from tune_runs.space.run_configs import control_config
from tune_runs.trial.failures import cause_of


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"cohort": 0}, "expected `resources.cohort` >= 1, got 0"),
        ({"cohort": 33}, "expected `resources.cohort` <= 32, got 33"),
        ({"cohort": 1.5}, "expected `resources.cohort` to be a whole number, got 1.5"),
        ({"cohort": 2, "gpus_per_trial": 2}, "of several processes, got 2 with 2 (x.yaml: resources.cohort)"),
        ({"cohort": 4, "gpu": 0, "ranks_per_trial": 2}, "expected no `cohort` with trials of several processes"),
        ({"cohort": 32, "cpu": 0.001}, "expected a `cpu` that gives each of `cohort` at least 0.0001, got 0.001"),
        ({"cohort": 32, "gpu": 0.001}, "expected a `gpu` that gives each of `cohort` at least 0.0001, got 0.001"),
    ],
)
def test_contradictions_are_refused(resources: dict[str, Any], words: str) -> None:
    assert words in refusal({"resources": resources})


@pytest.mark.parametrize(
    ("resources", "node", "trials", "bundle"),
    [
        ({"cpu": 4, "cohort": 8}, (16, 2), 16, {"CPU": 0.5, "GPU": 0.125}),
        ({"cpu": 4, "cohort": 8}, (6, 2), 8, {"CPU": 0.5, "GPU": 0.125}),
        ({"cpu": 2, "gpu": 0.5, "cohort": 4}, (16, 2), 16, {"CPU": 0.5, "GPU": 0.125}),
        ({"cpu": 1, "gpu": 1, "cohort": 7}, (4, 1), 7, {"CPU": 0.1428, "GPU": 0.1428}),
        ({"cpu": 2, "cohort": 4}, (4, 0), 8, {"CPU": 0.5, "GPU": 0}),
        ({"cpu": 8, "cohort": 4}, (4, 0), 0, {"CPU": 2, "GPU": 0}),
    ],
)
def test_trial_of_a_cohort_takes_its_part(
    resources: dict[str, Any], node: tuple[float, float], trials: int, bundle: dict[str, float]
) -> None:
    here = ResourcesConfig(**resources).on(node[1])
    assert here.concurrent(*node) == trials
    assert here.bundle == bundle
    assert here.cohort * bundle["GPU"] <= (here.gpu or 0)


def test_runs_equal_those_of_separate_processes() -> None:
    """The numbers do not depend on it, and a search may be resumed without it."""
    alone, together = (make({"resources": {"cpu": 2, "gpu": 0, "cohort": cohort}}) for cohort in (1, 4))
    assert control_config(alone, alone.scenario_list[0]) == control_config(together, together.scenario_list[0])
    assert alone.decisive() == together.decisive()


def test_resources_that_do_not_fit_are_reported_with_a_remedy() -> None:
    big = ResourcesConfig(cpu=8, gpu=0, cohort=4)
    assert big.nearest_that_fit([(4, 0)]) == "cpu 4, gpu 0, cohort 4"


def test_preview_shows_the_resources_of_a_cohort() -> None:
    console = Console(width=120, record=True)
    console.print(draw_preview(preview_of(make({"resources": {"cpu": 4, "cohort": 8}, "num_trials": 20}), [(16, 2)])))
    text = console.export_text()
    assert "a part of a process of 8, which has 4 CPUs, 1 GPU" in text
    assert "16 (16 CPUs, 2 GPUs)" in text


@pytest.mark.parametrize("name", ["cohorts.member.CohortLost: the actor died", "cohorts.host.NoMember: the cohort"])
def test_lost_host_is_a_lost_process(name: str) -> None:
    assert cause_of(f"Traceback (most recent call last):\n  ...\ntune_runs.{name}").is_lost


def test_trial_of_a_cohort_imports_no_torch() -> None:
    """Neither do the modules that Ray imports for its handles."""
    modules = "tune_runs.cohorts.member, tune_runs.cohorts.directory, tune_runs.ray_cluster.image_store"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0


class FakeHost:
    """The parts of a handle that the directory uses."""

    def __init__(self, number: int) -> None:
        self._actor_id = self
        self.number = number

    def hex(self) -> str:
        return f"host {self.number}"


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Give a trial a seat on a host of two, and return which host."""
    from tune_runs.cohorts import directory as cohorts
    from tune_runs.cohorts.member import host_id
    from tune_runs.cohorts.messages import CohortAccess, HostPlacement, SeatRequest, TrialProcess

    numbers = itertools.count()
    monkeypatch.setattr(cohorts, "_started_host", lambda *_: FakeHost(next(numbers)))
    found, nobody = cohorts.HostDirectory(), cast(Any, None)

    def seat(trial: str, process: int, node: str = "n", full: Sequence[str] = (), lost: Sequence[str] = ()) -> str:
        ask = SeatRequest(trial, TrialProcess(node, process), HostPlacement(node, None), list(full), list(lost))
        return host_id(found.seat(ask, CohortAccess(nobody, 2, nobody)))

    seat.leave = found.leave  # type: ignore[attr-defined]
    return seat


def test_every_trial_is_given_a_seat_at_once(directory: Callable[..., str]) -> None:
    given = [directory(f"t{number}", number) for number in range(32)]
    assert given == [f"host {number // 2}" for number in range(32)]


def test_seat_is_free_when_its_trial_or_process_is_elsewhere(directory: Any) -> None:
    for number in range(4):
        directory(f"t{number}", number)
    directory.leave("t1", ("n", 1))
    assert directory("t9", 9) == "host 0"
    assert directory("t2", 2) == "host 1", "again, after a restart"
    assert directory("t8", 3) == "host 1", "by the process that had t3"
    assert directory("t7", 7) == "host 2"


def test_hosts_elsewhere_full_or_lost_are_left_out(directory: Any) -> None:
    assert directory("t0", 0) == "host 0"
    assert directory("t1", 1, node="m") == "host 1"
    assert directory("t2", 2, full=["host 0"]) == "host 2"
    assert directory("t3", 3) == "host 0"
    assert directory("t4", 4, lost=["host 0", "host 2"]) == "host 3"
    assert directory("t5", 5) == "host 3"
