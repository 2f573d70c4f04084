"""Curves of a running search for TensorBoard: one folder of event files per trial in the run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from absgd.records import EVENTS_FOLDER, TRIAL_SCHEMA, column_of, column_value, option_type
from absgd.whole_imports import as_if_not_installed
from tune_runs.recording.run_tables import FLUSH_EVERY_S
from tune_runs.recording.trackers import Row, TrackedSearch, scalars_of
from tune_runs.space.setting_names import setting_of

# boto3 is for event files in S3, which this process then cannot write: half a second in which no trial gets an answer.
with as_if_not_installed("boto3"):
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import hparams, scalar

_SETTINGS = ("scenario", "phase", "candidate", "pair", "loss", "lam", "gamma", "ab_alpha", "switch_epoch", "lr")
"""Columns of a trial in the table of settings, in addition to those that are searched."""


class TensorBoardTracker:
    """Writes the epochs that each trial trained itself; the curve of a fork begins at its switch.

    Source: TensorBoard's event files, as written by tensorboardX; the table of settings is its HParams plugin.
    """

    def __init__(self, search: TrackedSearch) -> None:
        space = search.space
        self._metric, self._folder = space.objective.first, search.folder / EVENTS_FOLDER
        self._settings = dict.fromkeys((*_SETTINGS, *(column_of(setting_of(name)) for name in space.search)))
        self._open: dict[str, _TrialEventFile] = {}

    def begin(self, trial: Row, earlier: Sequence[Row]) -> None:  # noqa: ARG002 - an earlier file has them
        """Open another file of the trial; TensorBoard draws all of them as one run."""
        settings = {name: column_value(trial, name) for name in self._settings}
        self._open[trial["trial_id"]] = _TrialEventFile(self._folder / trial["trial_id"], settings, self._metric)

    def add(self, trial_id: str, epochs: Sequence[Row]) -> None:
        """Write epochs."""
        self._open[trial_id].add(epochs)

    def end(self, trial: Row) -> None:
        """Close the file of a trial."""
        self._open.pop(trial["trial_id"]).close()

    def attach(self, report: Path) -> None:
        """Do nothing: the report is in the same folder."""

    def close(self) -> None:
        """Close all files."""
        for events in self._open.values():
            events.close()


class _TrialEventFile:
    """The event file of a trial in this session; it begins with the settings.

    Raises:
        OSError: if it cannot be written; so do all methods.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], metric: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{os.getpid()}.{time.time_ns()}")
        # TensorBoard takes the columns of its table from any one of the files, so they are the same in all.
        columns, _, _ = hparams({name: _example(name) for name in settings}, {metric: None})
        _, values, _ = hparams(dict(settings), {})
        for summary in (columns, values):
            self._writer.write_event(Event(wall_time=time.time(), step=0, summary=summary))
        self._flushed_at = 0.0

    def add(self, rows: Iterable[Row]) -> None:
        """Write epochs; a reader sees them within FLUSH_EVERY_S of the next one."""
        for row in rows:
            for name, value in scalars_of(row).items():
                event = Event(wall_time=time.time(), step=row["epoch"], summary=scalar(name, value))
                self._writer.write_event(event)
        if time.monotonic() - self._flushed_at > FLUSH_EVERY_S:
            self._writer.flush()
            self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Write what is buffered and close the file."""
        self._writer.close()


def _example(column: str) -> str | float | bool:
    """Return a value of the type of a column."""
    kind = TRIAL_SCHEMA.field(column).type if column in TRIAL_SCHEMA.names else option_type(column)
    if pa.types.is_boolean(kind):
        return False
    return 0.0 if pa.types.is_floating(kind) or pa.types.is_integer(kind) else ""
