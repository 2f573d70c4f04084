"""The interface of a file store: a few operations on whole files, named by their path on the driver's machine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class FileStore(Protocol):
    """Holds files of a run folder for nodes that do not see it; every operation raises OSError where it fails."""

    def put(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all; EDQUOT where the disk budget of the search leaves no room."""

    def get(self, path: Path) -> bytes | None:
        """Return the content of a file, None if there is none; the reader verifies it."""

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder; none where there is no such folder."""

    def delete(self, paths: Collection[Path]) -> None:
        """Delete files; one that is gone already is no error."""


@dataclass(frozen=True)
class StoreUse:
    """The file store that the workers of a search use; part of the task of a worker."""

    actor: str
    """Name of the actor that serves the driver's folder."""
    seeing: frozenset[str]
    """Ids of the nodes that see the driver's folder, and use no store."""
