"""Tables of a run in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from absgd.errors import UserError, encodable
from absgd.paths import PathLike, is_endless
from absgd.records.atomic import write_atomically
from absgd.records.config_columns import ADDED_LATER
from absgd.records.metrics import LATER_METRICS
from absgd.records.schema import CLASS_SCHEMA, EARLIER_SPREAD, LABEL_SCHEMA
from absgd.records.search_objective import PARETO_COLUMNS
from absgd.records.trial_ids import earlier_pair

_DEFAULTS = {**ADDED_LATER, **dict.fromkeys((*EARLIER_SPREAD, *LATER_METRICS, *PARETO_COLUMNS))}
"""Columns that tables of earlier versions lack -> the value in all of their rows."""
PAIR = "pair"
"""Column that earlier versions lack and that follows from others."""
_OTHER = "another version wrote it, or another program"


def label_table(
    index_N: npt.NDArray[np.int64], labels_N: npt.NDArray[np.int64], changed_N: npt.NDArray[np.bool_]
) -> pa.Table:
    """Return the table of the training images of a run, their labels, and whether noise changed them.

    Args:
        index_N, labels_N, changed_N: arrays of equal length, as in `datasets.Splits`.
    """
    return pa.table([pa.array(index_N), pa.array(labels_N), pa.array(changed_N)], schema=LABEL_SCHEMA)


def class_table(names: Sequence[str], num_train: Sequence[int], num_val: Sequence[int]) -> pa.Table:
    """Return the table of the classes of a run: one entry of each argument for each label."""
    labels = list(range(len(names)))
    return pa.table([labels, list(names), list(num_train), list(num_val)], schema=CLASS_SCHEMA)


def as_table(schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a typed table; a missing key is null, a key that is not a column of `schema` is an error.

    Text that no encoding can write, from a file name that is not UTF-8, is escaped.
    """
    rows = [{key: encodable(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows]
    unknown = {key for row in rows for key in row} - set(schema.names)
    assert not unknown, f"no such columns: {sorted(unknown)}"
    return pa.Table.from_pylist(rows, schema=schema)


def write_table(path: PathLike, table: pa.Table) -> None:
    """Replace the parquet file at `path` atomically."""
    write_atomically(path, table_bytes(table))


def table_bytes(table: pa.Table) -> pa.Buffer:
    """Return the content of the parquet file of a table."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"cannot read {path}: {reason}; it is damaged, or {_OTHER}")


def _has_table(path: Path) -> bool:
    """Whether there is a file to read; a device or a pipe is refused, since reading it may never end."""
    if is_endless(path):
        raise UserError(f"cannot read {path}: it is a device or a pipe")
    return path.exists()


def columns_of(path: PathLike) -> list[str]:
    """Return the columns of a parquet file of a run; none if it does not exist.

    Raises:
        UserError: if the file is damaged.
    """
    path = Path(path)
    if not _has_table(path):
        return []
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def read_rows(path: PathLike, schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the rows of `read_table`.

    Raises:
        UserError: as `read_table`.
    """
    return list(read_table(path, schema).to_pylist())


def read_table(path: PathLike, schema: pa.Schema) -> pa.Table:
    """Read a parquet file of a run, with the columns of `schema` only; it has no rows if it does not exist.

    Settings of `ADDED_LATER` that the version which wrote it did not have are given their defaults; `pair` follows from
    the phase and the id of a run; `EARLIER_SPREAD`, `LATER_METRICS` and `PARETO_COLUMNS` are null.

    Raises:
        UserError: if the file is damaged, or lacks other columns of `schema`, or has them with other types.
    """
    path = Path(path)
    if not _has_table(path):
        return schema.empty_table()
    try:
        # Opened once, since a running search may replace it, and by Arrow: a thread of Arrow that still held a file of
        # Python when the interpreter ends would abort the process.
        with pa.OSFile(str(path)) as file:
            table = pq.read_table(file)
        missing = [name for name in schema.names if name not in table.column_names]
        for name in missing:
            table = table.append_column(name, pa.array(_earlier_values(path, table, name), schema.field(name).type))
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _earlier_values(path: Path, table: pa.Table, name: str) -> list[Any]:
    """Return the values of a column that the version which wrote a table did not have."""
    if name in _DEFAULTS:
        return [_DEFAULTS[name]] * int(table.num_rows)
    if name == PAIR and {"phase", "trial_id"} <= set(table.column_names):
        return earlier_pairs(table)
    raise UserError(f"cannot read {path}: no column `{name}`; {_OTHER}")


def earlier_pairs(table: pa.Table) -> list[int | None]:
    """Return the column `pair` of a table of trials that an earlier version wrote without it."""
    keys = zip(table["phase"].to_pylist(), table["trial_id"].to_pylist(), strict=True)
    return [earlier_pair(str(phase), str(trial_id)) for phase, trial_id in keys]
