"""Checks of the zip archives that torch.save writes."""

from __future__ import annotations

import zipfile
from pathlib import Path


def check_archive(path: Path) -> None:
    """Refuse a damaged archive by its own checksums, which torch.load does not verify.

    Raises:
        OSError: if the file cannot be read.
        zipfile.BadZipFile: if it is not an archive or a checksum is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
