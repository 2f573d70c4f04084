"""Curves of a running search for TensorBoard: one folder of event files per trial in the run folder."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from ray.tune import Callback
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import hparams, scalar

from absgd.records import (
    EPOCH_SCHEMA,
    EVENTS_FOLDER,
    INHERITED,
    TRIAL_SCHEMA,
    EpochRecord,
    column_of,
    column_value,
    option_type,
)
from absgd.terminal import warn
from tune_runs.recording.recorder import FLUSH_EVERY_S, Recorder
from tune_runs.space.model import SearchSpace
from tune_runs.space.setting_names import setting_of
from tune_runs.trial.trial_plan import task_of

SCALARS = tuple(
    field.name for field in dataclasses.fields(EpochRecord) if EPOCH_SCHEMA.field(field.name).type == pa.float64()
)
"""Columns of an epoch that become curves, where they have a value."""
_SETTINGS = ("scenario", "phase", "candidate", "pair", "loss", "lam", "gamma", "ab_alpha", "switch_epoch", "lr")
"""Columns of a trial in the table of settings, in addition to those that are searched."""


class TensorBoardCallback(Callback):  # type: ignore[misc]
    """Writes the recorded epochs that each trial trained itself; the curve of a fork begins at its switch.

    It comes after the callback that records. A full disk ends the curves, not the search: a warning is printed once,
    and no more events are written.

    Source: TensorBoard's event files, as written by tensorboardX; the table of settings is its HParams plugin.
    """

    def __init__(self, space: SearchSpace, recorder: Recorder) -> None:
        self._metric, self._recorder = space.objective.first, recorder
        self._folder = recorder.folder / EVENTS_FOLDER
        self._settings = dict.fromkeys((*_SETTINGS, *(column_of(setting_of(name)) for name in space.search)))
        self._written = {trial_id: len(rows) for trial_id, rows in recorder.epochs.items()}
        """Trial -> number of epochs that are written, or were before this session."""
        self._open: dict[str, _TrialEventFile] = {}
        self._has_failed = False

    def on_trial_result(self, *, trial: Any, **_: Any) -> None:
        """Write an epoch that is recorded."""
        trial_id = task_of(trial.config).trial_id
        rows = self._recorder.epochs.get(trial_id, [])
        new = [row for row in rows[self._written.get(trial_id, 0) :] if not row[INHERITED]]
        self._written[trial_id] = len(rows)
        if new and not self._has_failed:
            try:
                self._of(trial_id).add(new)
            except OSError as error:
                self._give_up(error)

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        """Close the file of a trial that has ended."""
        self._close(task_of(trial.config).trial_id)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Close the file of a trial that has ended, or continues in another process."""
        self._close(task_of(trial.config).trial_id)

    def on_experiment_end(self, **_: Any) -> None:
        """Close all files: nothing trains any more."""
        for trial_id in list(self._open):
            self._close(trial_id)

    def _of(self, trial_id: str) -> _TrialEventFile:
        if trial_id not in self._open:
            row = self._recorder.trials[trial_id].to_row()
            settings = {name: column_value(row, name) for name in self._settings}
            self._open[trial_id] = _TrialEventFile(self._folder / trial_id, settings, self._metric)
        return self._open[trial_id]

    def _close(self, trial_id: str) -> None:
        events = self._open.pop(trial_id, None)
        if events is not None:
            try:
                events.close()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self._has_failed:
            warn(
                f"cannot write {self._folder}: {error.strerror or error}: TensorBoard will show no more of this search"
            )
        self._has_failed = True

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file that is never read back."""
        return {}


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

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write epochs; a reader sees them within FLUSH_EVERY_S of the next one."""
        for row in rows:
            for name in SCALARS:
                if row[name] is not None:
                    event = Event(wall_time=time.time(), step=row["epoch"], summary=scalar(name, row[name]))
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
