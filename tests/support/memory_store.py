"""A file store in memory, which can be damaged or absent."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path


class MemoryStore:
    """Files in memory; the next `num_damaged` that are fetched arrive damaged, and `is_absent` fails everything."""

    def __init__(self) -> None:
        self.files: dict[Path, bytes] = {}
        self.num_damaged, self.is_absent = 0, False

    def put(self, path: Path, content: bytes) -> None:
        self._check()
        self.files[path] = content

    def get(self, path: Path) -> bytes | None:
        self._check()
        content = self.files.get(path)
        if content and self.num_damaged:
            self.num_damaged -= 1
            return content[: len(content) // 2] + b"\0" + content[len(content) // 2 + 1 :]
        return content

    def names(self, folder: Path) -> list[str]:
        self._check()
        return [path.name for path in self.files if path.parent == folder]

    def delete(self, paths: Collection[Path]) -> None:
        self._check()
        for path in paths:
            self.files.pop(path, None)

    def _check(self) -> None:
        if self.is_absent:
            raise OSError(errno.ETIMEDOUT, "no answer")
