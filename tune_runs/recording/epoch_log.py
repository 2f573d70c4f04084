"""The epochs of all trials of a run: in memory by trial, and as one table in the order in which they arrived."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from absgd import records

EpochRow = dict[str, Any]
"""The columns of epochs.parquet by name."""
CLOCKS = ("train_s", "val_s", "images_per_s")
"""Columns of an epoch that differ when it is trained again."""


class EpochLog:
    """Rows of epochs.parquet; each trial has its epochs in order, without gaps."""

    def __init__(self) -> None:
        self.by_trial: dict[str, list[EpochRow]] = {}
        self._written = records.as_table(records.EPOCH_SCHEMA, [])
        self._arrived: list[EpochRow] = []

    @property
    def arrived(self) -> tuple[EpochRow, ...]:
        """Epochs kept since the last `write`, in the order in which they arrived."""
        return tuple(self._arrived)

    def keep(self, row: EpochRow) -> None:
        """Append an epoch that follows the last one of its trial."""
        self.by_trial[row["trial_id"]].append(row)
        self._arrived.append(row)

    def forget_from(self, trial_id: str, epoch: int) -> None:
        """Drop the epochs of a trial from `epoch` on: trained again, they may differ where bits are not promised."""
        del self.by_trial[trial_id][epoch:]
        self._arrived = [row for row in self._arrived if row["trial_id"] != trial_id or row["epoch"] < epoch]
        stays = pc.or_(pc.not_equal(self._written["trial_id"], trial_id), pc.less(self._written["epoch"], epoch))
        self._written = self._written.filter(stays)

    def write(self, path: Path) -> None:
        """Replace the file; only epochs that arrived since the last time are converted.

        Raises:
            OSError: if it cannot be written.
        """
        arrived = records.as_table(records.EPOCH_SCHEMA, self._arrived)
        self._written = pa.concat_tables([self._written, arrived]).combine_chunks()
        self._arrived = []
        records.write_table(path, self._written)


def is_same_epoch(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows agree in all columns of the first but the clocks; parquet gives lists for tuples."""
    plain, known = (
        {key: list(value) if isinstance(value, tuple) else value for key, value in one.items()} for one in (row, other)
    )
    return all(value == known.get(key) for key, value in plain.items() if key not in CLOCKS)
