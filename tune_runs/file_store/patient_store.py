"""A file store that may be slow or absent for a while: operations are repeated, for a limited time."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from tune_runs.file_store.interface import FileStore

PATIENCE_S = 120.0
"""Time for which a failing operation is repeated; afterwards the run goes on without it."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
_FINAL = (errno.EDQUOT, errno.ENOSPC)
"""Errors that waiting does not mend."""
_Result = TypeVar("_Result")


class PatientStore:
    """Repeats what fails, with longer and longer pauses; once patience was in vain, each operation is tried once.

    The first operation that succeeds restores the patience. So an absent store delays a run by `patience_s`, not by as
    much at each of its epochs.

    Args:
        store: the store.
        patience_s: time for which an operation is repeated.
        wait: sleeps for a number of seconds.
    """

    def __init__(
        self, store: FileStore, patience_s: float = PATIENCE_S, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._store, self._patience_s, self._wait = store, patience_s, wait
        self._is_absent = False

    def put(self, path: Path, content: bytes) -> None:
        """Write a file as `FileStore.put`."""
        self._repeated(lambda: self._store.put(path, content))

    def get(self, path: Path) -> bytes | None:
        """Return the content of a file as `FileStore.get`."""
        return self._repeated(lambda: self._store.get(path))

    def names(self, folder: Path) -> list[str]:
        """Return the names of files as `FileStore.names`."""
        return self._repeated(lambda: self._store.names(folder))

    def delete(self, paths: Collection[Path]) -> None:
        """Delete files as `FileStore.delete`."""
        self._repeated(lambda: self._store.delete(paths))

    def _repeated(self, operation: Callable[[], _Result]) -> _Result:
        deadline = time.monotonic() + (0.0 if self._is_absent else self._patience_s)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                result = operation()
            except OSError as error:
                if error.errno in _FINAL:
                    raise
                if time.monotonic() + pause_s > deadline:
                    self._is_absent = True
                    raise
            else:
                self._is_absent = False
                return result
            self._wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
