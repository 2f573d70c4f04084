"""Records since the tables of a large search were last replaced, as files of their own, each written at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from absgd import records
from absgd.records.layout import PENDING_FOLDER

_EPOCHS, _TRIALS = "epochs", "trials"


class PendingRecords:
    """The folder of records that the tables lack.

    A part is the rows of some epochs and, written after them, the rows of trials as they then were. A kill loses the
    part that is being written, which the tables or the parts after it never need.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PENDING_FOLDER
        self._number = 0

    def add(self, epochs: pa.Table, trials: pa.Table) -> None:
        """Write a part.

        Raises:
            OSError: if it cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        self._number += 1
        for name, table in ((_EPOCHS, epochs), (_TRIALS, trials)):
            records.write_table(self._file(name), table)

    def clear(self) -> None:
        """Delete all parts: the tables say all that they say; one that a kill leaves is older than its tables."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def files(self) -> tuple[list[Path], list[Path]]:
        """Return the files of epochs and those of trials, in the order in which they were written."""
        epochs, trials = (sorted(self._folder.glob(f"*-{name}.parquet")) for name in (_EPOCHS, _TRIALS))
        self._number = max((int(path.name.split("-")[0]) for path in (*epochs, *trials)), default=0)
        return epochs, trials

    def _file(self, name: str) -> Path:
        return self._folder / f"{self._number:08d}-{name}.parquet"
