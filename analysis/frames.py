"""Tables of a run folder as typed frames: what is whole is kept, what is not is named.

Frames have the columns of `absgd.records` behind a first one, `folder`, so that equal run names stay apart. Whole
numbers are Int64, truths `boolean` and lists (one value for each class) Arrow lists: all of them know missing values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from absgd import records

KEY = ["folder", "trial_id"]
"""Columns that tell one trial from all others."""
SCENARIO = ["folder", "scenario"]
"""Columns that tell one scenario of one run folder from all others."""

ESSENTIAL_TRIAL = ("scenario", "trial_id", "phase", "status")
ESSENTIAL_EPOCH = ("trial_id", "epoch")
_STATUSES = ("running", "completed", "pruned", "diverged", "failed", "interrupted")
_PHASES = ("search", "confirm", "control", "single")

Complain = Callable[[str], None]
"""Takes a sentence about what was not whole."""


def read_trials(path: Path, complain: Complain) -> pd.DataFrame | None:
    """The whole rows of a trials.parquet, without `folder`; None where the file cannot be read."""
    table = _read(path, records.TRIAL_SCHEMA, ESSENTIAL_TRIAL, complain)
    if table is None:
        return None
    frame = _finite(_whole_trials(to_frame(table), path.name, complain), path.name, complain)
    return _with_known_metrics(frame, path.name, complain)


def read_epochs(path: Path, trials: pd.DataFrame, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials whose epochs are whole, and these epochs; without the file, all trials and no epochs.

    Args:
        path: of epochs.parquet.
        trials: of the same folder, from `read_trials`.
        complain: takes sentences about what was not whole.
    """
    table = _read(path, records.EPOCH_SCHEMA, ESSENTIAL_EPOCH, complain)
    if table is None:
        return trials, to_frame(records.as_table(records.EPOCH_SCHEMA, []), records.EPOCH_SCHEMA)
    epochs = _whole_epochs(to_frame(table, records.EPOCH_SCHEMA), trials, path.name, complain)
    epochs = _finite(epochs, path.name, complain)
    return _with_whole_curves(trials, epochs, complain)


def to_frame(table: pa.Table, schema: pa.Schema = records.TRIAL_SCHEMA) -> pd.DataFrame:
    """A table of a schema of `absgd.records` as a frame with the types of this module."""
    is_long = schema is records.EPOCH_SCHEMA  # a column each: no copy; the few rows of trials are handier together
    frame: pd.DataFrame = table.to_pandas(types_mapper=_pandas_type, split_blocks=is_long, self_destruct=is_long)
    if schema is records.EPOCH_SCHEMA and not frame.epoch.isna().any():
        frame["epoch"] = frame.epoch.astype("int64")
    return frame


def _pandas_type(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return pd.ArrowDtype(kind)
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)


def _read(path: Path, schema: pa.Schema, essential: Sequence[str], complain: Complain) -> pa.Table | None:
    """The file with exactly the columns of `schema`: lacking ones are null, others left out, both told."""
    if not path.is_file():
        complain(f"no {path.name}")
        return None
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        complain(f"cannot read {path.name}: {first}")
        return None
    lacking = [name for name in schema.names if name not in table.column_names]
    vital = [name for name in lacking if name in essential]
    if vital:
        complain(f"{path.name} has no column `{vital[0]}`: not written by absgd")
        return None
    if lacking:
        complain(f"{path.name} is of an older version: no column {_listed(lacking)}; taken as empty")
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        complain(f"{path.name} is of another version: column {_listed(unknown)} left out")
    return _conform(table, schema, essential, path.name, complain)


def _conform(
    table: pa.Table, schema: pa.Schema, essential: Sequence[str], file: str, complain: Complain
) -> pa.Table | None:
    columns = []
    for field in schema:
        empty = pa.nulls(table.num_rows, field.type)
        if field.name not in table.column_names:
            columns.append(empty)
            continue
        column = table.column(field.name)
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except pa.ArrowException:
                complain(f"{file}: column `{field.name}` holds {column.type} in place of {field.type}; taken as empty")
                if field.name in essential:
                    return None
                column = empty
        columns.append(column)
    return pa.table(columns, schema=schema)


def _whole_trials(frame: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    frame["scenario"] = frame.scenario.fillna(frame.run)  # a run of absgd-train is of no search's scenario
    is_keyed = frame[list(ESSENTIAL_TRIAL)].notna().all(axis=1)
    is_known = frame.status.isin(_STATUSES) & frame.phase.isin(_PHASES)
    is_whole = is_keyed & is_known
    if not is_whole.all():
        complain(f"{file}: {_count(int((~is_whole).sum()), 'damaged row')} left out")
    frame = frame[is_whole]
    is_again = frame.trial_id.duplicated()
    if is_again.any():
        complain(f"{file}: {_count(int(is_again.sum()), 'row')} with a `trial_id` that stood before left out")
        frame = frame[~is_again]
    return frame.reset_index(drop=True)


def _finite(frame: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    """The frame with infinite numbers taken as missing: one would rank before every score."""
    for name in frame.columns[frame.dtypes == np.dtype("float64")]:
        is_infinite = np.isinf(frame[name].to_numpy())
        if is_infinite.any():
            complain(f"{file}: {_count(int(is_infinite.sum()), 'infinite value')} of `{name}` taken as missing")
            frame[name] = frame[name].where(~is_infinite)
    return frame


def _with_known_metrics(frame: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    """The frame with no score, and no metric, where the metric is none of `records.METRICS`."""
    is_known = frame.metric.isin(records.METRICS)
    unknown = frame.metric[~is_known]
    if is_known.all():
        return frame
    is_ended = ~frame.status[~is_known].isin(("running", "interrupted", "failed"))
    if is_ended.any() or unknown.notna().any():
        others = unknown.dropna().unique().tolist()
        of_which = f": no such metric as {_listed(others)}" if others else ""
        complain(f"{file}: {_count(len(unknown), 'row')} without a known `metric` have no score{of_which}")
    frame["metric"] = frame.metric.where(is_known)
    for name in ("metric_last", "metric_chosen"):
        frame[name] = frame[name].where(is_known)
    return frame


def _whole_epochs(frame: pd.DataFrame, trials: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    is_keyed = frame.trial_id.notna() & frame.epoch.notna()
    is_own = frame.trial_id.isin(trials.trial_id)
    is_again = frame.duplicated(["trial_id", "epoch"])
    is_whole = is_keyed & ~is_again
    if not is_whole.all():
        complain(f"{file}: {_count(int((~is_whole).sum()), 'damaged row')} left out")
    if not is_own[is_whole].all():
        complain(f"{file}: {_count(int((~is_own)[is_whole].sum()), 'row')} of unknown trials left out")
    keep = is_whole & is_own
    frame = frame if keep.all() else frame[keep].reset_index(drop=True)
    frame["epoch"] = frame.epoch.astype("int64")
    if frame.scenario.isna().any():
        frame["scenario"] = frame.trial_id.map(trials.set_index("trial_id").scenario)
    return frame


def _with_whole_curves(
    trials: pd.DataFrame, epochs: pd.DataFrame, complain: Complain
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Without finished trials some of whose epochs are missing; a running one may lag behind its row."""
    there = epochs.groupby("trial_id").size().reindex(trials.trial_id, fill_value=0).to_numpy()
    claimed = trials.epochs_trained.fillna(0) + trials.epochs_inherited.fillna(0)
    is_short = ((claimed != there) & ~trials.status.isin(("running", "interrupted"))).astype(bool)
    if not is_short.any():
        return trials, epochs
    names = trials.trial_id[is_short].tolist()
    complain(f"the curves of {_count(len(names), 'finished trial')} are not whole: {_listed(names)} left out")
    kept = trials[~is_short].reset_index(drop=True)
    return kept, epochs[epochs.trial_id.isin(kept.trial_id)].reset_index(drop=True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
