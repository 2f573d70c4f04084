"""optuna-dashboard opens the journal of a search, also while the search holds it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from absgd.records import STUDY_FILE
from tests.support.spaces import make
from tune_runs.driver.study import ScenarioStudy

DASHBOARD = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
TIMEOUT_S = 60


@contextmanager
def served(journal: Path) -> Iterator[str]:
    """Start a dashboard of this journal and yield its address; end it with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(DASHBOARD), "--host", "127.0.0.1", "--port", str(port), str(journal)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answer(url: str) -> Any:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return json.load(response)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.parametrize("draw", ["plot_intermediate_values", "plot_slice", "plot_rank", "plot_timeline"])
def test_figures_of_optuna_draw_the_study(tmp_path: Path, draw: str) -> None:
    searched = make()
    own = ScenarioStudy(searched, searched.scenario_list[0], tmp_path)
    for value in (0.5, 0.6):
        trial = own.ask()
        own.report(trial.trial_id, searched.epochs - 1, value)
        own.tell(trial.trial_id, "completed", (value,))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / STUDY_FILE)))
    study = optuna.load_study(study_name=searched.scenario_list[0].name, storage=storage)
    assert len(getattr(optuna.visualization, draw)(study).data) > 0


@pytest.mark.skipif(DASHBOARD is None, reason="needs optuna-dashboard")
def test_dashboard_serves_the_study_of_a_running_search(tmp_path: Path) -> None:
    searched = make()
    study = ScenarioStudy(searched, searched.scenario_list[0], tmp_path)
    first, _running = study.ask(), study.ask()
    study.report(first.trial_id, searched.epochs - 1, 0.5)
    study.tell(first.trial_id, "completed", (0.5,))
    with served(tmp_path / STUDY_FILE) as address:
        (summary,) = answer(f"{address}/api/studies")["study_summaries"]
        trials = answer(f"{address}/api/studies/{summary['study_id']}?after=0")["trials"]
        assert [trial["state"] for trial in trials] == ["Complete", "Running"]
        study.ask()
        deadline = time.monotonic() + TIMEOUT_S  # it looks for news every few seconds
        while len(trials) < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
            trials = answer(f"{address}/api/studies/{summary['study_id']}?after=0")["trials"]
    assert summary["study_name"] == searched.scenario_list[0].name
    assert len(trials) == 3
