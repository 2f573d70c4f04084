"""Searches started from Python on a real Ray: twice in a process, in one that is connected, in a running event loop."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray as connected_ray
import torch
from ray.tune import Callback
from rich.console import Console

from tests.support.ray_searches import small
from tests.support.waiting import wait_until
from tune_runs import SearchInterrupted, SearchResult, confirm, search
from tune_runs.driver.scheduler import SchedulerByScenario

SPACE = small(scenarios=[{"imbalance": {"type": "exp", "ratio": 0.1}}], confirm=None).to_dict()

SCRIPT = """
import logging, os, signal, sys
from tune_runs import search

def state():
    levels = [logging.getLogger(name).level for name in ("ray", "ray.tune")]
    return dict(os.environ), [signal.getsignal(one) for one in (2, 15, 1, 10)], levels

if __name__ == "__main__":
    import ray  # before the search sets its environment
    import yaml
    space, before = yaml.safe_load(open("space.yaml")), state()
    first = search(space, num_trials=1)
    assert state() == before
    assert not ray.is_initialized()
    second = search(space, num_trials=1, resume=True, extend=1)
    assert not ray.is_initialized()
    print(first.status, second.status, first.folder == second.folder, *second.best, file=sys.stderr)
"""


class Notes(Callback):  # type: ignore[misc]
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.results: list[dict[str, Any]] = []

    def setup(self, **_: Any) -> None:
        self.events.append("setup")

    def on_trial_result(self, *, result: dict[str, Any], **_: Any) -> None:
        self.results.append(result)

    def on_experiment_end(self, **_: Any) -> None:
        self.events.append("end")


class Failing(Callback):  # type: ignore[misc]
    """Fails at the first result."""

    def on_trial_result(self, **_: Any) -> None:
        raise RuntimeError("no more paper")


def test_search_twice_in_a_script_that_imports_ray_first(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "complete complete True digits-exp-0.1"


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def result(ray: None, tmp_path_factory: pytest.TempPathFactory, notes: Notes) -> SearchResult:
    """A search in a running event loop, as in a notebook, on the Ray that this process is connected to."""
    console = Console(file=io.StringIO())

    async def cell() -> SearchResult:
        return search(SPACE, tmp_path_factory.mktemp("out"), callbacks=[Failing(), notes], console=console)

    return asyncio.run(cell())


def test_result_is_that_of_the_folder(result: SearchResult) -> None:
    import ray

    from analysis import load

    assert ray.is_initialized()
    assert result.status == "complete"
    best = load(result.folder).best()
    assert result.best["digits-exp-0.1"].attention.lam == best.lam.iloc[0]  # type: ignore[union-attr]
    assert result.verdicts["digits-exp-0.1"].settings["lam"] == best.lam.iloc[0]
    assert result.report.is_file()


def test_callbacks_see_metrics_and_a_failing_one_ends_alone(result: SearchResult, notes: Notes) -> None:
    assert notes.events == ["setup", "end"]
    assert {one["phase"] for one in notes.results} == {"control", "search"}
    controls = [one for one in notes.results if one["phase"] == "control"]
    assert [one["epoch"] for one in controls] == [0, 1, 2, 3]
    assert all(one["scenario"] == "digits-exp-0.1" and 0 <= one["val_accuracy"] <= 1 for one in notes.results)
    assert {one["config"]["attention"]["lam"] for one in notes.results if one["phase"] == "search"} >= {
        result.best["digits-exp-0.1"].attention.lam  # type: ignore[union-attr]
    }


def test_confirm_reads_the_test_set_on_fresh_seeds(result: SearchResult) -> None:
    confirmed = confirm(result.folder, pairs=1, console=Console(quiet=True))
    assert confirmed.status == "complete"
    assert confirmed.best == result.best
    assert confirmed.verdicts["digits-exp-0.1"].configuration == "best-1"


def test_used_budget_is_a_status_and_torch_keeps_its_threads(ray: None, tmp_path: Path) -> None:
    torch.set_num_threads(3)  # trials have one
    result = search(SPACE, tmp_path, epoch_budget=2, console=Console(quiet=True))
    assert torch.get_num_threads() == 3
    assert result.status == "budget"


def free_cpus() -> float:
    """CPUs of the connected Ray that nothing occupies."""
    return float(connected_ray.available_resources().get("CPU", 0))


def interrupt_twice(*_: Any) -> str:
    """Press the stop button of a notebook twice: the second time ends the search at once."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("the second signal was not noticed")


def test_search_interrupted_twice_raises_leaves_all_cpus_of_a_ray_that_stays_and_continues(
    ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = Console(quiet=True)
    gc.disable()  # it might free what Tune leaves
    try:
        with monkeypatch.context() as patch:
            patch.setattr(SchedulerByScenario, "on_trial_result", interrupt_twice)
            with pytest.raises(SearchInterrupted):
                search(SPACE, tmp_path, console=quiet)
        wait_until(lambda: free_cpus() == connected_ray.cluster_resources()["CPU"], seconds=60)
    finally:
        gc.enable()
    assert search(SPACE, tmp_path, resume=True, console=quiet).status == "complete"
