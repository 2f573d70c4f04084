"""A user without rights, for tests of files that may not be read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


def become_nobody() -> None:
    try:
        os.setresuid(NOBODY, NOBODY, 0)
    except OSError as error:  # in a container without that user
        pytest.skip(f"root cannot become another user: {error}")


@contextmanager
def unprivileged_folder() -> Iterator[Path]:
    """A new folder; inside the block, this process has no right that its files do not give to everybody.

    Root could read everything: it becomes another user for the time of the block.
    """
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            become_nobody()
        if not os.access(folder, os.W_OK, effective_ids=True):
            pytest.skip(f"another user cannot reach {tempfile.gettempdir()}")
        yield folder
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)
