"""The zip archives that torch.save writes."""

from __future__ import annotations

import zipfile
from pathlib import Path


def check_archive(path: Path) -> None:
    """Refuse an archive with a damaged byte: torch.load verifies no checksum, the archive's own finds a flipped bit.

    Raises:
        OSError: if the file cannot be read.
        zipfile.BadZipFile: if it is no archive or a checksum is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
