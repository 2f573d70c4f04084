"""The epochs of all trials of a run: in memory by trial, and as one table in the order in which they arrived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from absgd import records

EpochRow = dict[str, Any]
"""The columns of epochs.parquet by name."""
CLOCKS = ("train_s", "val_s", "images_per_s")
"""Columns of an epoch that differ when it is trained again."""
_MOST_CHUNKS = 256
"""Parts of the table, above which they are joined."""


class PackedRows(Sequence[EpochRow]):
    """The epochs of a trial that has ended, as a part of a table, which needs less memory than dictionaries."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, place: int) -> EpochRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[EpochRow]: ...
    def __getitem__(self, place: int | slice) -> EpochRow | list[EpochRow]:
        if isinstance(place, slice):
            return list(self)[place]
        index = range(len(self))[place]
        row: EpochRow = self._table.slice(index, 1).to_pylist()[0]
        return row

    def __iter__(self) -> Iterator[EpochRow]:
        return iter(self._table.to_pylist())

    def last(self, column: str) -> Any:
        """Return a column of the last epoch, without its others."""
        return self._table[column][-1].as_py()


class EpochLog:
    """Rows of epochs.parquet; each trial has its epochs in order, without gaps."""

    def __init__(self) -> None:
        self.by_trial: dict[str, Sequence[EpochRow]] = {}
        self._parts: list[pa.Table] = []
        self._arrived: list[EpochRow] = []

    def load(self, table: pa.Table) -> None:
        """Take over the epochs of known trials from the table of an earlier session, in its order.

        An epoch that is there already, or that does not follow the one before, is dropped.
        """
        trial_ids = np.asarray(table["trial_id"].to_numpy(zero_copy_only=False), dtype=object)
        epochs = table["epoch"].to_numpy()
        kept = np.zeros(table.num_rows, dtype=np.bool_)
        next_epoch = {trial_id: len(rows) for trial_id, rows in self.by_trial.items()}
        for place, (trial_id, epoch) in enumerate(zip(trial_ids, epochs, strict=True)):
            if next_epoch.get(trial_id) == epoch:
                kept[place] = True
                next_epoch[trial_id] += 1
        if not kept.all():
            table, trial_ids = table.filter(pa.array(kept)), trial_ids[kept]
        if not table.num_rows:
            return
        self._parts.append(table)
        order = np.argsort(trial_ids.astype(str), kind="stable")
        ordered, names = table.take(pa.array(order)).combine_chunks(), trial_ids[order]
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        for start, end in zip(starts, np.r_[starts[1:], len(names)], strict=True):
            earlier, own = self.by_trial[names[start]], PackedRows(ordered.slice(start, end - start))
            self.by_trial[names[start]] = [*earlier, *own] if earlier else own

    def arrivals(self, columns: Sequence[str]) -> Iterator[EpochRow]:
        """Yield all epochs in the order in which they arrived, with some of their columns."""
        for part in self._parts:
            for batch in part.select(list(columns)).to_batches(max_chunksize=10_000):
                yield from batch.to_pylist()
        yield from self._arrived

    def keep(self, row: EpochRow) -> None:
        """Append an epoch that follows the last one of its trial."""
        self.unpacked(row["trial_id"]).append(row)
        self._arrived.append(row)

    def pack(self, trial_id: str) -> None:
        """Hold the epochs of a trial that has ended in less memory."""
        rows = self.by_trial[trial_id]
        if not isinstance(rows, PackedRows):
            self.by_trial[trial_id] = PackedRows(records.as_table(records.EPOCH_SCHEMA, rows))

    def forget_from(self, trial_id: str, epoch: int) -> None:
        """Drop the epochs of a trial from `epoch` on: trained again, they may differ where bits are not promised."""
        del self.unpacked(trial_id)[epoch:]
        self._arrived = [row for row in self._arrived if row["trial_id"] != trial_id or row["epoch"] < epoch]
        table = self.table()
        stays = pc.or_(pc.not_equal(table["trial_id"], trial_id), pc.less(table["epoch"], epoch))
        self._parts = [table.filter(stays)]

    def take_arrived(self) -> pa.Table:
        """Return the epochs that arrived since the last call as a table; they are now part of `table`."""
        arrived = records.as_table(records.EPOCH_SCHEMA, self._arrived)
        self._arrived = []
        self._parts += [arrived] if arrived.num_rows else []
        if len(self._parts) > _MOST_CHUNKS:
            self._parts = [self.table().combine_chunks()]
        return arrived

    def table(self) -> pa.Table:
        """Return all epochs that `take_arrived` or `load` have taken, in the order in which they arrived."""
        return pa.concat_tables([records.EPOCH_SCHEMA.empty_table(), *self._parts])

    def last(self, trial_id: str, column: str) -> Any:
        """Return a column of the last epoch of a trial; None before the first."""
        rows = self.by_trial[trial_id]
        if not rows:
            return None
        return rows.last(column) if isinstance(rows, PackedRows) else rows[-1][column]

    def unpacked(self, trial_id: str) -> list[EpochRow]:
        """Return the epochs of a trial as the list to which `keep` appends."""
        rows = self.by_trial[trial_id]
        if not isinstance(rows, list):
            rows = self.by_trial[trial_id] = list(rows)
        return rows


def is_same_epoch(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows agree in all columns of the first but the clocks; parquet gives lists for tuples."""
    plain, known = (
        {key: list(value) if isinstance(value, tuple) else value for key, value in one.items()} for one in (row, other)
    )
    return all(value == known.get(key) for key, value in plain.items() if key not in CLOCKS)
