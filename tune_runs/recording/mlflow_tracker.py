"""Runs of a search in MLflow: one per trial, inside the run of its scenario, and one that holds the report."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from tune_runs.recording.trackers import Row, TrackedSearch, results_of, scalars_of, settings_of

_SEARCH, _PART, _PARENT = "absgd.search", "absgd.part", "mlflow.parentRunId"
"""Tags of a run: its search, its trial, scenario or report, by which it is found again, and MLflow's of nested runs."""
_ENDS = {"completed": "FINISHED", "pruned": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}
_MOST_METRICS, _MOST_PARAMS, _LONGEST = 1000, 100, 500
"""Limits of one request, and of a value in characters."""


class MlflowTracker:
    """Shows a search in MLflow; its own environment variables, such as MLFLOW_TRACKING_URI, hold.

    The experiment has the name of the search, or that in MLFLOW_EXPERIMENT_NAME.

    Source: https://mlflow.org/docs/latest/api_reference/python_api/mlflow.client.html
    """

    def __init__(self, search: TrackedSearch) -> None:
        if "MLFLOW_LOGGING_LEVEL" not in os.environ:
            for name in ("mlflow", "alembic"):  # they would write over the table of the search
                logging.getLogger(name).setLevel(logging.WARNING)
        self._search, self._client = search, MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or search.folder.name
        known = self._client.get_experiment_by_name(name)
        self._experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._runs: dict[str, str] = {}
        """Trial or scenario -> id of its run, while it is open."""
        self._parents: set[str] = set()
        """Those of them that are scenarios."""
        self._latest: dict[str, int] = {}
        """Trial -> last epoch that MLflow has."""

    def begin(self, trial: Row, earlier: Sequence[Row]) -> None:
        """Open the run of a trial, and send what MLflow lacks of its earlier epochs."""
        name, parent = trial["trial_id"], f"scenario {trial['scenario']}"
        if parent not in self._runs:
            self._runs[parent], _ = self._run_of(parent, trial["scenario"])
            self._parents.add(parent)
        self._runs[name], is_new = self._run_of(f"trial {name}", name, {_PARENT: self._runs[parent]})
        self._latest[name] = -1
        if is_new:
            params = [Param(key, str(value)[:_LONGEST]) for key, value in settings_of(trial).items()]
            for start in range(0, len(params), _MOST_PARAMS):
                self._client.log_batch(self._runs[name], params=params[start : start + _MOST_PARAMS])
        else:
            known = self._client.get_metric_history(self._runs[name], "lr")
            self._latest[name] = max((metric.step for metric in known), default=-1)
        self.add(name, earlier)

    def add(self, trial_id: str, epochs: Sequence[Row]) -> None:
        """Log epochs, each at the step of its number, but those that MLflow has."""
        new = [row for row in epochs if row["epoch"] > self._latest[trial_id]]
        if new:
            self._log(self._runs[trial_id], [(row["epoch"], scalars_of(row)) for row in new])
            self._latest[trial_id] = new[-1]["epoch"]

    def end(self, trial: Row) -> None:
        """End the run of a trial, with its status and error as tags and its numbers as metrics."""
        run = self._runs.pop(trial["trial_id"])
        self._log(run, [(self._latest.pop(trial["trial_id"]) + 1, results_of(trial))])
        words = {"status": trial["status"], "error": trial["error"] or ""}
        self._client.log_batch(run, tags=[RunTag(key, value[:_LONGEST]) for key, value in words.items()])
        self._client.set_terminated(run, _ENDS.get(trial["status"], "KILLED"))

    def attach(self, report: Path) -> None:
        """Store the report as an artifact, in a run of its own."""
        run, _ = self._run_of("report", "report")
        self._client.log_artifact(run, str(report))
        self._client.set_terminated(run)

    def close(self) -> None:
        """End the runs of the scenarios, and as killed those of trials that were not ended."""
        for name, run in self._runs.items():
            self._client.set_terminated(run, "FINISHED" if name in self._parents else "KILLED")

    def _run_of(self, part: str, name: str, tags: Mapping[str, str] | None = None) -> tuple[str, bool]:
        """Return the id of the run of a part of the search, open, and whether it is new."""
        words = f"tags.`{_SEARCH}` = '{self._search.id}' and tags.`{_PART}` = '{part}'"
        for run in self._client.search_runs([self._experiment], words, max_results=1):
            self._client.update_run(run.info.run_id, status="RUNNING")
            return run.info.run_id, False
        own = {_SEARCH: self._search.id, _PART: part, **(tags or {})}
        return self._client.create_run(self._experiment, run_name=name, tags=own).info.run_id, True

    def _log(self, run: str, scalars: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        now = int(1000 * time.time())
        metrics = [Metric(name, float(value), now, step) for step, row in scalars for name, value in row.items()]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run, metrics=metrics[start : start + _MOST_METRICS])
