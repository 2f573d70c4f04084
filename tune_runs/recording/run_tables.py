"""The tables of a search on disk, trials.parquet and epochs.parquet: read by a resume, replaced while trials run."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from absgd import records
from tune_runs.recording.epoch_log import EpochLog
from tune_runs.recording.pending_records import PendingRecords
from tune_runs.recording.trial_record import TrialRecord

FLUSH_EVERY_S = 2.0
FLUSH_SHARE = 0.05
"""Largest share of the time that writing the tables may take where it takes long."""
QUICK_FLUSH_S = 0.05
"""Seconds below which the tables are replaced at the end of every trial."""


class RunTables:
    """The files of trials and epochs, which are replaced whole.

    They are replaced at the end of every trial, and between ends at most every FLUSH_EVERY_S seconds, less often where
    writing takes long. Where it takes longer than QUICK_FLUSH_S, the end of a trial is written as `PendingRecords`,
    which a resumed search reads too.

    Args:
        folder: the run folder.
        trials: records of all trials by id, in the order of the rows; the owner adds to them.
        epoch_log: epochs of all trials.
    """

    def __init__(self, folder: Path, trials: Mapping[str, TrialRecord], epoch_log: EpochLog) -> None:
        self._folder, self._trials, self._epoch_log = folder, trials, epoch_log
        self._pending = PendingRecords(folder)
        self._unwritten: set[str] = set()
        """Trials whose rows have changed since they were last written."""
        self.quick_flush_s = QUICK_FLUSH_S
        self._flushed_at = 0.0
        self._flush_s = 0.0

    def trial_rows(self) -> list[Mapping[str, Any]]:
        """Return the newest recorded row of each trial.

        Raises:
            UserError: if a file is damaged, or of another version.
        """
        rows: dict[str, Mapping[str, Any]] = {}
        for path in (self._folder / records.TRIALS_FILE, *self._pending.files()[1]):
            for own in records.read_rows(path, records.TRIAL_SCHEMA):
                known = rows.get(own["trial_id"])
                if known is None or (own["wall_s"] or 0.0) >= (known["wall_s"] or 0.0):  # the later of the two
                    rows[own["trial_id"]] = own
        return list(rows.values())

    def epoch_tables(self) -> Iterator[pa.Table]:
        """Yield the recorded epochs in the order in which they arrived, as those of a run with the folder's name.

        Raises:
            UserError: if a file is damaged, or of another version.
        """
        for path in (self._folder / records.EPOCHS_FILE, *self._pending.files()[0]):
            table = records.read_table(path, records.EPOCH_SCHEMA)
            place = table.schema.get_field_index("run")
            run = pa.repeat(pa.scalar(self._folder.name, pa.string()), table.num_rows)
            yield table.set_column(place, records.EPOCH_SCHEMA.field("run"), run)

    def mark_changed(self, trial_id: str) -> None:
        """Note that the row of a trial has changed, so that it is written with the next part."""
        self._unwritten.add(trial_id)

    def flush_if_due(self) -> None:
        """Replace both files unless that was done recently.

        Raises:
            OSError: if they cannot be written.
        """
        if time.monotonic() - self._flushed_at >= FLUSH_EVERY_S and self._may_flush():
            self.flush()

    def write_end(self) -> None:
        """Write what has changed, once a trial has ended: both files, or a part of the pending records.

        Raises:
            OSError: if it cannot be written.
        """
        if self._flush_s < self.quick_flush_s or self._may_flush():
            self.flush()
        else:
            self._pending.add(self._epoch_log.take_arrived(), self._trial_table(self._unwritten))
            self._unwritten.clear()

    def flush(self) -> None:
        """Replace both files.

        Raises:
            OSError: if they cannot be written.
        """
        started = time.monotonic()
        self._epoch_log.take_arrived()
        records.write_table(self._folder / records.EPOCHS_FILE, self._epoch_log.table())
        records.write_table(self._folder / records.TRIALS_FILE, self._trial_table(self._trials))
        self._unwritten.clear()
        self._pending.clear()
        self._flushed_at = time.monotonic()
        self._flush_s = self._flushed_at - started

    def _trial_table(self, trial_ids: Collection[str]) -> pa.Table:
        rows = (trial.to_row() for trial in self._trials.values() if trial.trial_id in trial_ids)
        return records.as_table(records.TRIAL_SCHEMA, rows)

    def _may_flush(self) -> bool:
        """Whether replacing the tables again keeps to its share of the time."""
        return time.monotonic() - self._flushed_at >= self._flush_s / FLUSH_SHARE
