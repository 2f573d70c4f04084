"""Arrow tables of a run as typed frames, and the columns that identify their rows.

Frames have the columns of `absgd.records` after a first one, `folder`, which keeps runs of equal names apart. Whole
numbers are Int64, truth values `boolean` and lists (one value per class) Arrow lists: all of them can be missing.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from absgd import records

KEY = ["folder", "trial_id"]
"""Columns that identify a trial."""
SCENARIO = ["folder", "scenario"]
"""Columns that identify a scenario of a run folder."""


def to_frame(table: pa.Table, schema: pa.Schema = records.TRIAL_SCHEMA) -> pd.DataFrame:
    """Convert a table with a schema of `absgd.records` to a frame with the types of this module."""
    is_long = schema is records.EPOCH_SCHEMA  # one block per column: no copy; the few trial rows are handier in one
    frame: pd.DataFrame = table.to_pandas(types_mapper=_pandas_type, split_blocks=is_long, self_destruct=is_long)
    if is_long and not frame.epoch.isna().any():
        frame["epoch"] = frame.epoch.astype("int64")
    return frame


def total_epochs(trials: pd.DataFrame) -> pd.Series[Any]:
    """Return the epochs of each trial, trained or inherited; those that are not recorded count as none."""
    return trials.epochs_trained.fillna(0) + trials.epochs_inherited.fillna(0)


def _pandas_type(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return pd.ArrowDtype(kind)
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)
