"""Where a report is written, and as what: the path that `--out` names."""

from __future__ import annotations

from pathlib import Path

from absgd.errors import UserError, shown
from absgd.paths import is_endless
from absgd.records import write_atomically


def check_is_file(path: Path) -> None:
    """Refuse a path at which a folder is.

    Raises:
        UserError: if one is there.
    """
    if path.is_dir():
        raise UserError(f"expected a file, got the folder {shown(str(path))} (--out)")


def write_text(path: Path, text: str) -> None:
    """Write a file whole, or into the pipe or device that stands at `path`; folders above it are made.

    A link stays, and what it leads to is written.

    Raises:
        UserError: if `path` is a folder.
        OSError: if it cannot be written.
    """
    check_is_file(path)
    if is_endless(path):  # a rename would put a file in its place
        path.write_text(text, encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomically(path.resolve(), text)
    except OSError as error:  # which would name the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from None
