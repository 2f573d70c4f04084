"""MLflow itself, on a database in a file, shows what is recorded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.recording.tracker_callback import close_trackers
from tune_runs.recording.tracker_table import attach_report, check_trackers

mlflow: Any = pytest.importorskip("mlflow")


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives the runs that MLflow has, by name."""
    place = tmp_path_factory.mktemp("mlflow")
    monkeypatch.chdir(place)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)

    def found() -> dict[str, Any]:
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name("run")
        every = client.search_runs([experiment.experiment_id], max_results=1000)
        assert len({run.info.run_name for run in every}) == len(every), "one run per trial"
        return {run.info.run_name: run for run in every}

    return found


def history(run: Any, name: str) -> list[tuple[int, float]]:
    points = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in points]


def test_runs_equal_the_records_after_a_kill_and_a_resume(tmp_path: Path, runs: Any) -> None:
    space = make_space(track=["mlflow"], num_trials=3)
    check_trackers(space.track)
    FakeTuner(space, tmp_path / "run", rising).run(stop_after_results=9)
    tuner = FakeTuner(space, tmp_path / "run", rising)
    tuner.run()
    close_trackers(tuner.search.trackers, within_s=600)
    (tmp_path / "run/report.html").write_text("<p>the report")
    attach_report(space, tmp_path / "run", within_s=600)
    attach_report(space, tmp_path / "run", within_s=600)
    every = runs()
    trials = pd.read_parquet(tmp_path / "run/trials.parquet").set_index("trial_id")
    scenarios = {scenario.name for scenario in space.scenario_list}
    assert set(every) == {*trials.index, *scenarios, "report"}
    epochs = pd.read_parquet(tmp_path / "run/epochs.parquet")
    for trial_id, trial in trials.iterrows():
        run = every[trial_id]
        own = epochs[(epochs.trial_id == trial_id) & ~epochs.inherited]
        assert history(run, "val_accuracy") == list(zip(own.epoch, own.val_accuracy, strict=True))
        assert (run.data.tags["status"], run.info.status) == (trial.status, "FINISHED")
        assert run.data.tags["mlflow.parentRunId"] == every[trial.scenario].info.run_id
        assert run.data.params["scenario"] == trial.scenario
        assert float(run.data.params["lr"]) == trial.lr
        if trial.phase == "search":
            assert float(run.data.params["gamma"]) == trial.gamma
    (artifact,) = mlflow.MlflowClient().list_artifacts(every["report"].info.run_id)
    assert artifact.path == "report.html"


def test_trial_of_whose_end_nothing_is_told_is_killed(tmp_path: Path, runs: Any) -> None:
    tuner = FakeTuner(make_space(track=["mlflow"], num_trials=1), tmp_path / "run", rising)
    tuner.run(stop_after_results=2)
    (callback,) = tuner.search.trackers
    callback.thread.close(time.monotonic() + 600)
    every = runs()
    scenarios = {scenario.name for scenario in tuner.space.scenario_list}
    trials = {name: run.info.status for name, run in every.items() if name not in scenarios}
    assert trials
    assert set(trials.values()) == {"KILLED"}
    assert {every[name].info.status for name in scenarios & every.keys()} == {"FINISHED"}
