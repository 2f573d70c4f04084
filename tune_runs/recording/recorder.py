"""Keeps trials.parquet and epochs.parquet true while a search runs, and ranks its trials; no Ray here."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from absgd import records
from absgd.errors import UserError
from absgd.records import Phase, Status
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.stopping.rules import Never
from tune_runs.trial.plan import TrialPlan, control_id, images_key
from tune_runs.trial.reports import INHERITED, ReportedEpoch, TrialReport

FLUSH_EVERY_S = 2.0
FLUSH_SHARE = 0.05
"""Largest share of the time that writing the tables between ends of trials may take."""


class Recorder:
    """Rows of all trials of a run and of all their epochs, in memory and on disk.

    Rows of trials and epochs keep the order in which they arrived. The files are replaced whole: at the end of every
    trial, and between ends at most every FLUSH_EVERY_S seconds, less often where that would take long.

    A trial that forks from a snapshot hands over the records of the epochs before it with its first report; they stand
    in its rows, marked `inherited`.

    Args:
        folder: of the run.
        metric: of the search.
        images: what runs learn from; asked when one begins.
    """

    def __init__(self, folder: Path, metric: str, images: ScenarioImages) -> None:
        self.folder = folder
        self.metric = metric
        self._images = images
        self.trials: dict[str, dict[str, Any]] = {}
        self.epochs: dict[str, list[dict[str, Any]]] = {}
        self.earlier_epochs: tuple[dict[str, Any], ...] = ()
        """Epochs that earlier sessions recorded, of all trials, in the order in which they arrived."""
        self.epochs_reached: dict[str, int] = {}
        """Epochs behind each trial of this session since it last began; more may be recorded."""
        self._written = records.as_table(records.EPOCH_SCHEMA, [])
        self._arrived: list[dict[str, Any]] = []
        self._clock: dict[str, float] = {}
        self._flushed_at = 0.0
        self._flush_s = 0.0

    def load(self, retried: Collection[Phase] = ("control", "confirm")) -> None:
        """Take over what earlier sessions recorded; trials that had not finished stand as `interrupted`.

        A control that failed does too: it is tried again, since trials fork from it. So is a run of a confirmation,
        which lacks perhaps the test set alone.

        Args:
            retried: phases of which failed runs are tried again in this session.

        Raises:
            UserError: if a table is damaged, or of another version, or was made from other images.
        """
        for row in records.read_rows(self.folder / records.TRIALS_FILE, records.TRIAL_SCHEMA):
            self._check_images(row)
            self.trials[row["trial_id"]] = {**row, "run": self.folder.name}
            self.epochs[row["trial_id"]] = []
        for row in records.read_rows(self.folder / records.EPOCHS_FILE, records.EPOCH_SCHEMA):
            known = self.epochs.get(row["trial_id"])
            if known is not None and row["epoch"] == len(known):
                self._keep({**row, "run": self.folder.name})
        self.earlier_epochs = tuple(self._arrived)
        for trial_id, row in self.trials.items():
            is_whole = len(self.epochs[trial_id]) == (row["epochs_trained"] or 0) + (row["epochs_inherited"] or 0)
            is_tried_again = row["phase"] in retried and row["status"] == "failed"
            if row["status"] not in records.FINISHED or is_tried_again or not is_whole:
                row.update(status="interrupted", error=None)

    def _check_images(self, row: Mapping[str, Any]) -> None:
        splits = self._images.held.get(images_key(row["scenario"], row["seed_data"]))
        if splits is not None and row["split_hash"] != splits.hash:
            raise UserError(
                f"expected the images that {row['trial_id']} was trained on, got others: "
                f"the data of scenario `{row['scenario']}` has changed since ({self.folder / records.TRIALS_FILE})"
            )

    def start(self, plan: TrialPlan) -> None:
        """A trial begins, or goes on.

        Raises:
            OSError: if the tables cannot be written.
        """
        row = self.trials.setdefault(plan.trial_id, self._new_row(plan))
        row.update(status="running", error=None)
        self.epochs.setdefault(plan.trial_id, [])
        self.epochs_reached[plan.trial_id] = 0
        self._clock[plan.trial_id] = time.monotonic() - (row["wall_s"] or 0.0)
        self._refresh(plan.trial_id)
        self._flush_if_due()

    def _new_row(self, plan: TrialPlan) -> dict[str, Any]:
        splits = self._images.splits_of(plan.scenario, plan.config)
        return {
            "run": self.folder.name,
            "scenario": plan.scenario,
            "trial_id": plan.trial_id,
            "number": plan.number,
            "phase": plan.phase,
            "candidate": plan.candidate,
            **records.config_columns(plan.config),
            "restarts": 0,
            "wall_s": None,
            "started_at": datetime.now(UTC),
            "class_counts": splits.class_counts,
            "split_hash": splits.hash,
            "stage_one_key": plan.stage_one_key,
        }

    def restart(self, trial_id: str) -> None:
        """The process of a trial was lost; the trial will go on in another one."""
        self.trials[trial_id]["restarts"] += 1
        self.epochs_reached[trial_id] = 0

    def add(self, trial_id: str, report: TrialReport) -> None:
        """A trial reported: epochs before its first, and one that it trained, unless it diverged there.

        An epoch that is known already, since a trial that went on reports it again, counts once.

        Args:
            trial_id: of the trial.
            report: of the trial.

        Raises:
            OSError: if the tables cannot be written.
        """
        known = self.epochs[trial_id]
        for epoch in report.epochs:
            row = self._epoch_row(trial_id, epoch)
            if row["epoch"] < len(known) and not _is_same(row, known[row["epoch"]]):
                self._forget_from(trial_id, row["epoch"])
            if row["epoch"] >= len(known):
                assert row["epoch"] == len(known), f"{trial_id} reports its epochs in order"
                self._keep(row)
            self.epochs_reached[trial_id] = row["epoch"] + 1
        if report.test is not None:
            self.trials[trial_id].update(report.test.columns)
        self._refresh(trial_id)
        self._flush_if_due()

    def finish(self, trial_id: str, status: Status, error: str | None = None) -> None:
        """A trial ended.

        Raises:
            OSError: if it cannot be written.
        """
        self._refresh(trial_id)
        row = self.trials[trial_id]
        row.update(status=status, error=error)
        self.flush()

    def fail(self, trial_id: str, traceback: str, error: str) -> None:
        """A trial raised: the whole text becomes a file, one line of it the row's error.

        Raises:
            OSError: if it cannot be written.
        """
        path = records.error_file(self.folder, trial_id)
        path.parent.mkdir(exist_ok=True)
        records.write_atomically(path, traceback or error)
        self.finish(trial_id, "failed", error)

    def finish_running(self, status: Status, error: str | None = None) -> None:
        """The session ends early: what still runs ends with `status`.

        Raises:
            OSError: if it cannot be written.
        """
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
        """The first of `ranked`."""
        return next(iter(self.ranked(scenario)), None)

    def ranked(self, scenario: str) -> list[dict[str, Any]]:
        """The completed search trials, the best metric at the last epoch first; the lower val_loss breaks a tie."""
        sign = 1.0 if records.METRICS[self.metric] == "max" else -1.0
        completed = [
            row for row in self.trials_of(scenario) if (row["phase"], row["status"]) == ("search", "completed")
        ]
        return sorted(
            completed, key=lambda row: (-sign * row["metric_last"], self.epochs[row["trial_id"]][-1]["val_loss"])
        )

    @property
    def epochs_trained(self) -> int:
        """By all runs of the search."""
        return sum(row["epochs_trained"] for row in self.trials.values())

    def control(self, scenario: str, stage_one_key: str | None = None) -> dict[str, Any] | None:
        """The scenario's plain control, or the one with a given stage one; None when it has not begun."""
        if stage_one_key is None:
            return self.trials.get(control_id(scenario))
        return next((row for row in self.controls(scenario) if row["stage_one_key"] == stage_one_key), None)

    def trials_of(self, scenario: str) -> list[dict[str, Any]]:
        """All trials of a scenario, controls and confirmations among them."""
        return [row for row in self.trials.values() if row["scenario"] == scenario]

    def controls(self, scenario: str) -> list[dict[str, Any]]:
        """The plain controls of a scenario, one for each stage one."""
        return [row for row in self.trials_of(scenario) if row["phase"] == "control"]

    def control_value(self, scenario: str, epoch: int) -> float | Never | None:
        """The metric of the scenario's own plain control at an epoch; None when it is not known yet."""
        row = self.control(scenario)
        if row is None:
            return None
        rows = self.epochs[row["trial_id"]]
        if epoch < len(rows):
            value: float = rows[epoch][self.metric]
            return value
        return None if row["status"] in ("running", "interrupted") else Never.COMES

    def finished(self, scenario: str) -> int:
        """Search trials of a scenario that need no further training."""
        return sum(row["phase"] == "search" and row["status"] in records.FINISHED for row in self.trials_of(scenario))

    def _epoch_row(self, trial_id: str, epoch: ReportedEpoch) -> dict[str, Any]:
        """The row of an epoch of a trial."""
        columns = dict(vars(epoch.record))
        if epoch.is_inherited:
            columns = self._control_columns(trial_id, columns)
        keys = {"run": self.folder.name, "scenario": self.trials[trial_id]["scenario"], "trial_id": trial_id}
        return {**columns, **keys, INHERITED: epoch.is_inherited}

    def _control_columns(self, trial_id: str, columns: dict[str, Any]) -> dict[str, Any]:
        """The control's own values where they are the same: lists over thousands of classes are held once."""
        trial = self.trials[trial_id]
        control = self.control(trial["scenario"], trial["stage_one_key"])
        rows = self.epochs[control["trial_id"]] if control else []
        known = rows[columns["epoch"]] if columns["epoch"] < len(rows) else {}
        theirs = {name: known.get(name) for name in columns}
        return theirs if theirs == columns else columns

    def _forget_from(self, trial_id: str, epoch: int) -> None:
        """Drop the last epochs of a trial: where bits are not promised, it went another way when it was tried again."""
        del self.epochs[trial_id][epoch:]
        self._arrived = [row for row in self._arrived if row["trial_id"] != trial_id or row["epoch"] < epoch]
        stays = pc.or_(pc.not_equal(self._written["trial_id"], trial_id), pc.less(self._written["epoch"], epoch))
        self._written = self._written.filter(stays)

    def _keep(self, row: dict[str, Any]) -> None:
        self.epochs[row["trial_id"]].append(row)
        self._arrived.append(row)

    def _refresh(self, trial_id: str) -> None:
        row = self.trials[trial_id]
        row.update(records.summary_columns(list(self.epochs[trial_id]), self.metric))
        row["wall_s"] = time.monotonic() - self._clock[trial_id]

    def _flush_if_due(self) -> None:
        if time.monotonic() - self._flushed_at >= max(FLUSH_EVERY_S, self._flush_s / FLUSH_SHARE):
            self.flush()


CLOCKS = ("train_s", "val_s", "images_per_s")
"""Columns of an epoch that differ when it is trained again."""


def _is_same(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows tell of the same epoch; parquet gives lists for tuples."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}
    known = {key: list(value) if isinstance(value, tuple) else value for key, value in other.items()}
    return all(value == known.get(key) for key, value in plain.items() if key not in CLOCKS)
