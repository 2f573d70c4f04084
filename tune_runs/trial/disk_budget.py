"""The size of a run folder, held against its disk budget; and what a driver that was killed left in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from absgd.records import is_unfinished
from tune_runs.trial.plan import CheckpointUse

GIB = 2**30
RESERVED_BYTES = 2**16
"""For the tables and journals while they are small."""


def has_room(use: CheckpointUse, num_bytes: int) -> bool:
    """Whether a run may write so many bytes, every run beside it as many, and the driver its tables anew."""
    if use.disk_budget is None:
        return True
    folder = Path(use.run_folder)
    tables = sum(_file_bytes(path) for path in folder.iterdir() if path.is_file())
    reserved = use.num_writers * num_bytes + 2 * tables + RESERVED_BYTES
    return folder_bytes(folder) + reserved <= use.disk_budget


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, as they are at one moment or another while others write."""
    return sum(_file_bytes(path) for path in _files(folder))


def remove_unfinished(folder: Path) -> None:
    """Delete what `write_atomically` had not finished below a folder when its process was killed."""
    for path in _files(folder):
        if is_unfinished(path.name):
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names)


def _file_bytes(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.lstat().st_size
    return 0
