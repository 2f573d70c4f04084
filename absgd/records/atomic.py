"""Atomic writes: a file is replaced whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa

from absgd.errors import encodable
from absgd.paths import PathLike
from absgd.records.layout import unfinished_prefix


def write_atomically(
    path: PathLike, content: bytes | memoryview | str | pa.Buffer, survives_power_cut: bool = True
) -> None:
    """Replace the file at `path` so that a reader, or a crash of the process, sees the old content or the new, whole.

    Args:
        path: the file, in a folder that exists.
        content: its new content; text is written in UTF-8, with `encodable` escapes for what that cannot hold.
        survives_power_cut: whether the same is true of a crash of the machine; it costs a wait for the disk.
    """
    path = Path(path)
    data = encodable(content).encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=unfinished_prefix(path.name))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if survives_power_cut:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
