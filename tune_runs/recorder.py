"""Keeps trials.parquet and epochs.parquet true while a search runs, and knows the best trial so far."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from ray.tune import Callback

from absgd import records
from absgd.datasets import Splits
from absgd.records import Status
from tune_runs.plan import TrialPlan, control_id
from tune_runs.reports import DIVERGED, EARLIER, INHERITED, end_status
from tune_runs.stopping_rules import Never

FINISHED: tuple[Status, ...] = ("completed", "pruned", "diverged", "failed")
FLUSH_EVERY_S = 2.0
FLUSH_SHARE = 0.05
"""Largest share of the time that writing the tables between ends of trials may take."""


class Recorder:
    """Rows of all trials of a run and of all their epochs, in memory and on disk.

    Rows of trials and epochs keep the order in which they arrived. The files are replaced whole: at the end of every
    trial, and between ends at most every FLUSH_EVERY_S seconds, less often where that would take long.

    A trial that forks from a snapshot hands over the records of the epochs before it with its first report; they stand
    in its rows, marked `inherited`.
    """

    def __init__(self, folder: Path, metric: str, splits: Mapping[str, Splits]) -> None:
        self.folder = folder
        self.metric = metric
        self._splits = splits
        self.trials: dict[str, dict[str, Any]] = {}
        self.epochs: dict[str, list[dict[str, Any]]] = {}
        self._written = records.as_table(records.EPOCH_SCHEMA, [])
        self._arrived: list[dict[str, Any]] = []
        self._clock: dict[str, float] = {}
        self._flushed_at = 0.0
        self._flush_s = 0.0

    def load(self) -> None:
        """Take over the finished trials of an earlier, interrupted session; the others' rows are dropped.

        A control that failed is dropped as well: it is tried again, since trials fork from it.
        """
        for row in records.read_rows(self.folder / records.TRIALS_FILE, records.TRIAL_SCHEMA):
            if row["status"] in FINISHED and (row["phase"], row["status"]) != ("control", "failed"):
                self.trials[row["trial_id"]] = row
                self.epochs[row["trial_id"]] = []
        for row in records.read_rows(self.folder / records.EPOCHS_FILE, records.EPOCH_SCHEMA):
            if row["trial_id"] in self.trials:
                self._keep(row)
        for trial_id, row in list(self.trials.items()):
            if len(self.epochs[trial_id]) != row["epochs_trained"] + row["epochs_inherited"]:
                self.forget(trial_id)
        for scenario in {row["scenario"] for row in self.trials.values()}:
            self._write_best(scenario)

    def start(self, plan: TrialPlan) -> None:
        """A trial begins."""
        splits = self._splits[plan.scenario]
        self._clock[plan.trial_id] = time.monotonic()
        self.epochs[plan.trial_id] = []
        self.trials[plan.trial_id] = {
            "run": self.folder.name,
            "scenario": plan.scenario,
            "trial_id": plan.trial_id,
            "number": plan.number,
            "phase": plan.phase,
            "status": "running",
            **records.config_columns(plan.config),
            **records.summary_columns([], self.metric),
            "started_at": datetime.now(UTC),
            "class_counts": splits.class_counts,
            "split_hash": splits.hash,
            "stage_one_key": plan.stage_one_key,
        }
        self._refresh(plan.trial_id)
        self._flush_if_due()

    def add(self, trial_id: str, report: Mapping[str, Any]) -> None:
        """A trial reported: epochs before its first, and one that it trained, unless it diverged there.

        Args:
            trial_id: of the trial.
            report: with the keys of `tune_runs.reports`; others that are no columns (Ray's own) are left out.
        """
        for row in (*report.get(EARLIER, ()), *(() if DIVERGED in report else (report,))):
            assert row["epoch"] == len(self.epochs[trial_id]), f"{trial_id} reports its epochs in order"
            self._keep(self._epoch_row(trial_id, row))
        self._refresh(trial_id)
        self._flush_if_due()

    def finish(self, trial_id: str, status: Status, error: str | None = None) -> None:
        """A trial ended."""
        self._refresh(trial_id)
        row = self.trials[trial_id]
        row.update(status=status, error=error)
        self.flush()
        if self.best(row["scenario"]) is row:
            self._write_best(row["scenario"])

    def fail(self, trial_id: str, traceback: str) -> None:
        """A trial raised: its last line becomes the row's error, the whole text a file."""
        path = error_file(self.folder, trial_id)
        path.parent.mkdir(exist_ok=True)
        records.write_atomically(path, traceback)
        lines = [line.strip() for line in traceback.splitlines() if line.strip()]
        self.finish(trial_id, "failed", lines[-1] if lines else "ended without an exception")

    def finish_running(self, status: Status, error: str | None = None) -> None:
        """The session ends early: what still runs ends with `status`."""
        for row in self.trials.values():
            if row["status"] == "running":
                row.update(status=status, error=error)
        self.flush()

    def flush(self) -> None:
        """Replace both files; only the epochs that arrived since the last flush are converted."""
        started = time.monotonic()
        arrived = records.as_table(records.EPOCH_SCHEMA, self._arrived)
        self._written = pa.concat_tables([self._written, arrived]).combine_chunks()
        self._arrived = []
        records.write_table(self.folder / records.EPOCHS_FILE, self._written)
        trials = records.as_table(records.TRIAL_SCHEMA, self.trials.values())
        records.write_table(self.folder / records.TRIALS_FILE, trials)
        self._flushed_at = time.monotonic()
        self._flush_s = self._flushed_at - started

    def best(self, scenario: str) -> dict[str, Any] | None:
        """The completed search trial with the best metric at its last epoch; the lower val_loss breaks a tie."""
        sign = 1.0 if records.METRICS[self.metric] == "max" else -1.0
        candidates = [
            row
            for row in self.trials.values()
            if (row["scenario"], row["phase"], row["status"]) == (scenario, "search", "completed")
        ]
        return max(
            candidates,
            key=lambda row: (sign * row["metric_last"], -self.epochs[row["trial_id"]][-1]["val_loss"]),
            default=None,
        )

    def control(self, scenario: str, stage_one_key: str | None = None) -> dict[str, Any] | None:
        """The scenario's plain control, or the one with a given stage one; None when it has not begun."""
        if stage_one_key is None:
            return self.trials.get(control_id(scenario))
        return next((row for row in self.controls(scenario) if row["stage_one_key"] == stage_one_key), None)

    def controls(self, scenario: str) -> list[dict[str, Any]]:
        """The plain controls of a scenario, one for each stage one."""
        return [row for row in self.trials.values() if (row["scenario"], row["phase"]) == (scenario, "control")]

    def control_value(self, scenario: str, epoch: int) -> float | Never | None:
        """The metric of the scenario's own plain control at an epoch; None when it is not known yet."""
        row = self.control(scenario)
        if row is None:
            return None
        rows = self.epochs[row["trial_id"]]
        if epoch < len(rows):
            value: float = rows[epoch][self.metric]
            return value
        return None if row["status"] == "running" else Never.COMES

    def finished(self, scenario: str) -> int:
        """Search trials of a scenario that need no further training."""
        return sum(
            (row["scenario"], row["phase"]) == (scenario, "search") and row["status"] in FINISHED
            for row in self.trials.values()
        )

    def forget(self, trial_id: str) -> None:
        """A trial that was taken over counts as not trained."""
        del self.trials[trial_id], self.epochs[trial_id]
        self._arrived = [row for row in self._arrived if row["trial_id"] != trial_id]

    def _epoch_row(self, trial_id: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a record, as an epoch of a trial."""
        columns = {name: record[name] for name in records.EPOCH_SCHEMA.names if name in record}
        is_inherited = columns.pop(INHERITED, False)
        if is_inherited:
            columns = self._control_columns(trial_id, columns)
        keys = {"run": self.folder.name, "scenario": self.trials[trial_id]["scenario"], "trial_id": trial_id}
        return {**columns, **keys, INHERITED: is_inherited}

    def _control_columns(self, trial_id: str, columns: dict[str, Any]) -> dict[str, Any]:
        """The control's own values where they are the same: lists over thousands of classes are held once."""
        trial = self.trials[trial_id]
        control = self.control(trial["scenario"], trial["stage_one_key"])
        rows = self.epochs[control["trial_id"]] if control else []
        known = rows[columns["epoch"]] if columns["epoch"] < len(rows) else {}
        theirs = {name: known.get(name) for name in columns}
        return theirs if theirs == columns else columns

    def _keep(self, row: dict[str, Any]) -> None:
        self.epochs[row["trial_id"]].append(row)
        self._arrived.append(row)

    def _write_best(self, scenario: str) -> None:
        row = self.best(scenario)
        if row is None:
            return
        path = best_file(self.folder, row["scenario"])
        path.parent.mkdir(exist_ok=True)
        about = (
            f"# Best trial so far of run {row['run']}, scenario {row['scenario']}: {row['trial_id']},\n"
            f"# {self.metric} {row['metric_last']!r} at the last epoch, on validation.\n"
        )
        records.write_atomically(path, about + records.config_of(row).to_yaml())

    def _refresh(self, trial_id: str) -> None:
        row = self.trials[trial_id]
        row.update(records.summary_columns(list(self.epochs[trial_id]), self.metric))
        row["wall_s"] = time.monotonic() - self._clock[trial_id]

    def _flush_if_due(self) -> None:
        if time.monotonic() - self._flushed_at >= max(FLUSH_EVERY_S, self._flush_s / FLUSH_SHARE):
            self.flush()


class RecorderCallback(Callback):  # type: ignore[misc]
    """Passes what Ray tells about trials on to the recorder.

    Args:
        recorder: keeps it.
        on_disk_error: told when the records cannot be written; Ray would bury the error in one of its own.
    """

    def __init__(self, recorder: Recorder, on_disk_error: Callable[[OSError], None]) -> None:
        self.recorder = recorder
        self._on_disk_error = on_disk_error

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        """An epoch, or that the trial diverged in it."""
        trial_id = trial.config["trial_id"]
        with self._telling():
            if "epoch" in result:
                self.recorder.add(trial_id, result)

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        """A trial ended, by itself or stopped by the scheduler."""
        trial_id, last = trial.config["trial_id"], trial.last_result or {}
        epochs = self.recorder.trials[trial_id]["epochs"]
        with self._telling():
            self.recorder.finish(trial_id, end_status(last, epochs), last.get(DIVERGED))

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """A trial raised, or its process died."""
        with self._telling():
            self.recorder.fail(trial.config["trial_id"], _error_text(trial))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._on_disk_error(error)

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its callbacks into a file that is never read back."""
        return {}


def best_file(folder: Path, scenario: str) -> Path:
    """Where the best configuration of a scenario lies."""
    return folder / "best" / f"{scenario}.yaml"


def error_file(folder: Path, trial_id: str) -> Path:
    """Where the whole traceback of a failed trial lies."""
    return folder / "errors" / f"{trial_id}.txt"


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _error_text(trial: Any) -> str:
    path = trial.error_file
    if not path or not Path(path).is_file():
        return ""
    return _COLOUR.sub("", Path(path).read_text(encoding="utf-8", errors="replace"))
