"""The copying of a run folder to a storage: every few minutes while a search runs, and at its end.

A storage that fails is named once, and tried again at the next copy; the search never waits for it but at its end.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from absgd import records
from absgd.errors import UserError
from absgd.terminal import warn
from tune_runs.run_copy.copied_files import (
    OWNER_FILE,
    RECORDS_FILE,
    is_snapshot_name,
    records_archive,
    snapshot_versions,
)
from tune_runs.run_copy.storage import Storage

EVERY_S = 180.0
"""Time between the end of a copy and the start of the next one."""
LAST_S = 600.0
"""Most time that the end of a search waits for its last copy."""


class RunCopier:
    """Copies a run folder to a storage.

    Args:
        folder: the run folder.
        storage: where its copy is.
        every_s: time between two copies.
    """

    def __init__(self, folder: Path, storage: Storage, every_s: float = EVERY_S) -> None:
        self._folder, self._storage, self._every_s = folder, storage, every_s
        self._thread: threading.Thread | None = None
        self._ended_at = float("-inf")
        self._copied: dict[str, tuple[int, int]] = {}
        self._has_complained = False
        self.has_begun = False
        """Whether the search has made a step, in a folder that it has locked."""

    def step(self) -> None:
        """Start a copy if it is time for one; called by the driver between two events, when its records agree."""
        self.has_begun = True
        is_busy = self._thread is not None and self._thread.is_alive()
        if not is_busy and time.monotonic() - self._ended_at >= self._every_s:
            self._start()

    def close(self) -> None:
        """Make the last copy; wait for it, for a limited time."""
        if self._is_done_in_time():
            self._start()
            self._is_done_in_time()

    def _is_done_in_time(self) -> bool:
        if self._thread is None:
            return True
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            warn(f"{self._storage.title} is slow: the last minutes may be missing there")
        return not self._thread.is_alive()

    def _start(self) -> None:
        if (self._folder / records.SPACE_FILE).exists():
            content = records_archive(self._folder)
            self._thread = threading.Thread(target=self._copy, args=(content,), daemon=True)
            self._thread.start()

    def _copy(self, content: bytes) -> None:
        try:
            self._copy_snapshots()
            self._storage.put(OWNER_FILE, _owner(self._folder).encoded())
            self._storage.put(RECORDS_FILE, content)
            self._delete_surplus()
            self._has_complained = False
        except OSError as error:
            if not self._has_complained:
                warn(f"cannot copy to {self._storage.title}: {error}; it is tried again, the search goes on")
            self._has_complained = True
        finally:
            self._ended_at = time.monotonic()

    def _copy_snapshots(self) -> None:
        for name, version in snapshot_versions(self._folder).items():
            if self._copied.get(name) == version:
                continue
            try:
                content = (self._folder / name).read_bytes()
            except FileNotFoundError:  # a newer one has replaced it
                continue
            self._storage.put(name, content)
            self._copied[name] = version

    def _delete_surplus(self) -> None:
        """Delete copies of snapshots that the search has deleted."""
        kept = snapshot_versions(self._folder)
        for name in self._storage.names():
            if is_snapshot_name(name) and name not in kept:
                self._storage.delete(name)
                self._copied.pop(name, None)


def check_copy(folder: Path, storage: Storage) -> None:
    """Check, before a search starts, that a storage can be written and has no copy that must not be replaced.

    Raises:
        UserError: if it cannot be written, has the copy of another search, or one of a later session.
    """
    storage.check()
    try:
        found = storage.get(OWNER_FILE)
    except OSError as error:
        raise UserError(f"cannot read the storage {storage.title}: {error} (--storage)") from None
    if found is None:
        return
    there, own = _parsed(found), _owner(folder)
    if there is None:
        raise UserError(f"the copy of {folder.name} in {storage.title} is damaged: {OWNER_FILE} (--storage)")
    if there.id != own.id:
        raise UserError(f"{storage.title} has a copy of another {folder.name}: give another `--name` (--storage)")
    if there.num_sessions > own.num_sessions:
        raise UserError(
            f"{storage.title} has a later session of {folder.name} than {folder}: move the folder away, "
            "so that the later one is restored (--storage)"
        )


class _Owner(NamedTuple):
    """Whose copy it is, and how new."""

    id: str
    num_sessions: int

    def encoded(self) -> bytes:
        return json.dumps({"id": self.id, "sessions": self.num_sessions}).encode()


def _owner(folder: Path) -> _Owner:
    """Return the owner of a copy of a run folder, as far as its files say."""
    try:
        own_id = (folder / records.ID_FILE).read_text()
        sessions = json.loads((folder / records.ENVIRONMENT_FILE).read_text())["sessions"]
        return _Owner(own_id, len(sessions))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return _Owner("", 0)


def _parsed(content: bytes) -> _Owner | None:
    try:
        found = json.loads(content)
        return _Owner(str(found["id"]), int(found["sessions"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


@contextmanager
def copied_run(folder: Path, address: str | None) -> Iterator[RunCopier | None]:
    """Copy a run folder during the block, and at the end of a search that has begun, however it ends; None: no address.

    A search that ends before its first step may have found its folder in use by another one, which copies it itself.

    Raises:
        UserError: before the block, as `check_copy`.
    """
    if address is None:
        yield None
        return
    storage = Storage(address, folder.name)
    check_copy(folder, storage)
    copier = RunCopier(folder, storage)
    has_ended = False
    try:
        yield copier
        has_ended = True
    finally:
        if has_ended or copier.has_begun:
            copier.close()
