"""Keeps trials.parquet and epochs.parquet true while a search runs, and knows the best trial so far."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.tune import Callback

from absgd import records
from absgd.datasets import Splits
from absgd.records import Status
from tune_runs.plan import TrialPlan, control_id

FINISHED: tuple[Status, ...] = ("completed", "pruned", "diverged", "failed")
FLUSH_EVERY_S = 2.0
FLUSH_SHARE = 0.05
"""Largest share of the time that writing the tables between ends of trials may take."""
DIVERGED = "diverged"
"""Key of the one report of a trial that is no epoch: why its loss was no longer finite."""
NOTES = "notes"
"""Key of what a report has to say to the user, as sentences."""


class Recorder:
    """Rows of all trials of a run and of all their epochs, in memory and on disk.

    Rows of trials and epochs keep the order in which they arrived. The files are replaced whole: at the end of every
    trial, and between ends at most every FLUSH_EVERY_S seconds, less often where that would take long.

    A trial that forks reports from its switch on; the epochs before are those of the plain control that shares its
    stage one, and stand in its rows marked `inherited`.
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
        """Take over the finished trials of an earlier, interrupted session; the others' rows are dropped."""
        for row in records.read_rows(self.folder / records.TRIALS_FILE, records.TRIAL_SCHEMA):
            if row["status"] in FINISHED:
                self.trials[row["trial_id"]] = row
                self.epochs[row["trial_id"]] = []
        for row in records.read_rows(self.folder / records.EPOCHS_FILE, records.EPOCH_SCHEMA):
            if row["trial_id"] in self.trials:
                self._keep(row)
        for trial_id, row in list(self.trials.items()):
            if len(self.epochs[trial_id]) != row["epochs_trained"] + row["epochs_inherited"]:
                self._forget(trial_id)
        for scenario in {row["scenario"] for row in self.trials.values()}:
            self._write_best(scenario)

    def start(self, plan: TrialPlan, earlier: Sequence[Mapping[str, Any]] = ()) -> None:
        """A trial begins.

        Args:
            plan: what it is.
            earlier: rows of the epochs that a control has behind it, from a snapshot; those that another search trained
                count as inherited.
        """
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
        origin = plan.trunk.origin if plan.trunk else None
        for row in earlier:
            self._keep(self._epoch_row(plan.trial_id, row, inherited=row["origin"] != origin))
        self._refresh(plan.trial_id)
        self._flush_if_due()

    def add_epoch(self, trial_id: str, record: Mapping[str, Any]) -> None:
        """A trial reported an epoch; keys that are no columns (Ray's own) are left out.

        An epoch that it trains again replaces the row that stood there, and those after it.
        """
        self.come_to(trial_id, record["epoch"])
        self._keep(self._epoch_row(trial_id, record, inherited=False))
        self._refresh(trial_id)
        self._flush_if_due()

    def come_to(self, trial_id: str, epoch: int) -> None:
        """A trial is about to train an epoch: what it has not trained before it is its control's."""
        rows = self.epochs[trial_id]
        if len(rows) > epoch:
            self._cut(trial_id, epoch)
        for row in self._control_rows(trial_id)[len(rows) : epoch]:
            self._keep(self._epoch_row(trial_id, row, inherited=True))
        assert len(self.epochs[trial_id]) == epoch, f"{trial_id} has no record of the epochs before {epoch}"
        self._refresh(trial_id)

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
        rows = (row for row in self.trials.values() if (row["scenario"], row["phase"]) == (scenario, "control"))
        return next((row for row in rows if row["stage_one_key"] == stage_one_key), None)

    def control_value(self, scenario: str, epoch: int) -> float | None:
        """The metric of the scenario's own plain control at an epoch; None when it is not known yet."""
        row = self.control(scenario)
        rows = self.epochs[row["trial_id"]] if row else []
        return rows[epoch][self.metric] if epoch < len(rows) else None

    def finished(self, scenario: str) -> int:
        """Search trials of a scenario that need no further training."""
        return sum(
            (row["scenario"], row["phase"]) == (scenario, "search") and row["status"] in FINISHED
            for row in self.trials.values()
        )

    def _forget(self, trial_id: str) -> None:
        """A trial whose epochs are not all there counts as not trained."""
        del self.trials[trial_id], self.epochs[trial_id]
        self._arrived = [row for row in self._arrived if row["trial_id"] != trial_id]

    def _epoch_row(self, trial_id: str, record: Mapping[str, Any], inherited: bool) -> dict[str, Any]:
        """The columns of a record, as an epoch of a trial."""
        columns = {name: record[name] for name in records.EPOCH_SCHEMA.names if name in record}
        keys = {"run": self.folder.name, "scenario": self.trials[trial_id]["scenario"], "trial_id": trial_id}
        return {**columns, **keys, "inherited": inherited}

    def _control_rows(self, trial_id: str) -> list[dict[str, Any]]:
        """Epochs of the control that shares a search trial's stage one."""
        trial = self.trials[trial_id]
        control = self.control(trial["scenario"], trial["stage_one_key"]) if trial["phase"] == "search" else None
        return self.epochs[control["trial_id"]] if control else []

    def _keep(self, row: dict[str, Any]) -> None:
        self.epochs[row["trial_id"]].append(row)
        self._arrived.append(row)

    def _cut(self, trial_id: str, epoch: int) -> None:
        """Forget a trial's epochs from `epoch` on."""
        del self.epochs[trial_id][epoch:]
        self._arrived = [row for row in self._arrived if row["trial_id"] != trial_id or row["epoch"] < epoch]
        others = pc.not_equal(self._written["trial_id"], trial_id)
        self._written = self._written.filter(pc.or_(others, pc.less(self._written["epoch"], epoch)))

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
            if DIVERGED in result:
                self.recorder.come_to(trial_id, result["epoch"])
            elif "epoch" in result:
                self.recorder.add_epoch(trial_id, result)

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


def end_status(last_result: Mapping[str, Any] | None, epochs: int) -> Status:
    """Status of a trial that ended without an error; stopped before its last epoch, it was pruned.

    >>> end_status({"epoch": 15}, epochs=16), end_status({"epoch": 12}, epochs=16)
    ('completed', 'pruned')
    """
    if last_result and DIVERGED in last_result:
        return "diverged"
    return "completed" if last_result and last_result.get("epoch") == epochs - 1 else "pruned"


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
