"""The size of a run folder compared with its disk budget, and the unfinished files of a driver that was killed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from absgd.records import is_unfinished
from tune_runs.trial.trial_plan import CheckpointUse

GIB = 2**30
RESERVED_BYTES = 2**16
"""Bytes kept free for tables and journals while they are small."""


def has_room(use: CheckpointUse, num_bytes: int) -> bool:
    """Whether the budget has room for `num_bytes` of every concurrent run, and for the driver to rewrite its tables."""
    if use.disk_budget is None:
        return True
    folder = Path(use.run_folder)
    tables = sum(_file_bytes(path) for path in folder.iterdir() if path.is_file())
    reserved = use.num_writers * num_bytes + 2 * tables + RESERVED_BYTES
    return folder_bytes(folder) + reserved <= use.disk_budget


def check_room(use: CheckpointUse, num_bytes: int) -> None:
    """Raise OSError (EDQUOT) where the budget has no room, as `has_room`."""
    if not has_room(use, num_bytes):
        raise OSError(errno.EDQUOT, "the disk budget leaves no room")


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder; while others write, the files are not all read at one moment."""
    return sum(_file_bytes(path) for path in _files(folder))


def remove_unfinished(folder: Path) -> None:
    """Delete the temporary files below a folder that `write_atomically` left when its process was killed."""
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
