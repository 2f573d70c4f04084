"""The files of a run folder that are copied: records together in one archive, snapshots one by one.

The records of a search agree with each other only at one moment, so they are one file of the storage, which is
replaced whole. A snapshot carries its own checksum and agrees with any records.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from absgd import records
from absgd.records import is_unfinished

RECORDS_FILE = "records.zip"
"""Everything of a run folder but snapshots and locks."""
OWNER_FILE = "owner.json"
"""Id of the search, and how many sessions it has had."""
_SNAPSHOT_SUFFIX = ".pt"


def records_archive(folder: Path) -> bytes:
    """Return the records of a run folder as an archive; call it where nothing changes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in _files(folder):
            if path.suffix != _SNAPSHOT_SUFFIX and path.name != records.LOCK_FILE:
                with suppress(FileNotFoundError):  # of a tracker, which writes in a thread of its own
                    archive.writestr(path.relative_to(folder).as_posix(), path.read_bytes())
    return buffer.getvalue()


def snapshot_versions(folder: Path) -> dict[str, tuple[int, int]]:
    """Return name, relative to the folder -> time of change in ns and size, of all snapshots."""
    found = {}
    for path in _files(folder):
        if path.suffix == _SNAPSHOT_SUFFIX:
            with suppress(FileNotFoundError):
                state = path.stat()
                found[path.relative_to(folder).as_posix()] = (state.st_mtime_ns, state.st_size)
    return found


def is_snapshot_name(name: str) -> bool:
    """Whether a name in a storage is that of a snapshot, and of a place inside the folder."""
    return name.endswith(_SNAPSHOT_SUFFIX) and not {"..", "."} & set(PurePosixPath(name).parts) and name[0] != "/"


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in sorted(names) if not is_unfinished(name))
