"""A run folder restored from its copy in a storage, on a machine that does not have it."""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

from absgd import records
from absgd.errors import UserError
from tune_runs.run_copy.copied_files import RECORDS_FILE, is_snapshot_name
from tune_runs.run_copy.storage import Storage

_MALFORMED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, LookupError, RuntimeError, struct.error)
"""Errors of reading a damaged archive; RuntimeError: it is encrypted, or packed in an unknown way."""


def restore_run(folder: Path, address: str, is_required: bool = True) -> bool:
    """Restore a run folder from its copy if it does not exist, whole or not at all; return whether it was restored.

    Args:
        folder: the run folder; its copy has its name.
        address: address of the storage that has the copy.
        is_required: whether it is an error that there is neither the folder nor a copy.

    Raises:
        UserError: if the storage has no copy that is required, cannot be read, or the folder cannot be written.
    """
    folder = folder.absolute()
    if (folder / records.SPACE_FILE).exists():
        return False
    storage = Storage(address, folder.name)
    try:
        archive = storage.get(RECORDS_FILE)
        if archive is None:
            if not is_required:
                return False
            raise UserError(f"expected a copy of {folder.name} in {address}, found none (--storage)")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            new = Path(scratch) / folder.name
            _extract(archive, new, address)
            for name in filter(is_snapshot_name, storage.names()):
                content = storage.get(name)
                if content is not None:
                    (new / name).parent.mkdir(parents=True, exist_ok=True)
                    (new / name).write_bytes(content)
            _take_place_of(folder, new)
    except OSError as error:
        raise UserError(f"cannot restore {folder} from {address}: {error.strerror or error} (--storage)") from None
    return True


def _extract(archive: bytes, folder: Path, address: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(folder)
    except _MALFORMED as error:
        raise UserError(f"the copy of {folder.name} in {address} is damaged: {error} (--storage)") from None


def _take_place_of(folder: Path, new: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)
    os.replace(new, folder)
