"""The destination of a report: its format, and the files and folders that options name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from absgd.errors import UserError, encodable
from absgd.paths import PathLike, checked_folder, is_endless
from absgd.records import write_atomically

ReportFormat = Literal["html", "md", "latex", "csv"]
SUFFIXES: dict[str, ReportFormat] = {".html": "html", ".htm": "html", ".md": "md", ".tex": "latex", ".csv": "csv"}
_NO_REPORTS = (".pdf", ".png", ".svg", ".json", ".yaml", ".yml", ".xlsx", ".parquet", ".docx")


def format_of(path: Path | None, given: ReportFormat | None) -> ReportFormat:
    """Return the requested format: as given, else by the suffix of the file, else HTML.

    >>> format_of(Path("table.tex"), None)
    'latex'

    Raises:
        UserError: if the suffix belongs to another format, or to a kind of file that no format writes.
    """
    suffix = path.suffix.lower() if path is not None else ""
    implied = SUFFIXES.get(suffix)
    if suffix in _NO_REPORTS:
        raise UserError(f"expected a file of {', '.join(SUFFIXES)}, got {path} (--out)")
    if given is not None and implied not in (None, given):
        wanted = " or ".join(name for name, kind in SUFFIXES.items() if kind == given)
        raise UserError(f"expected a file of {wanted} for --format {given}, got {path} (--out)")
    return given or implied or "html"


def check_is_file(path: Path, option: str = "--out") -> None:
    """Refuse the path of a folder.

    Raises:
        UserError: if `path` is a folder.
    """
    if path.is_dir():
        raise UserError(f"expected a file, got the folder {path} ({option})")


def check_is_folder(path: Path, option: str) -> None:
    """Refuse a path at which no folder is and none can be created.

    Raises:
        UserError: if a file is there, or the path cannot be one of a folder.
    """
    if checked_folder(path, option).exists() and not path.is_dir():
        raise UserError(f"expected a folder, got the file {path} ({option})")


def write_text(path: PathLike, text: str) -> None:
    """Write a file atomically, or write into the pipe or device at `path`; parent folders are created.

    A symbolic link is kept, and its target written.

    Raises:
        UserError: if `path` is a folder.
        OSError: if it cannot be written.
    """
    path = Path(path)
    check_is_file(path)
    if is_endless(path):  # a rename would replace it by a file
        path.write_text(encodable(text), encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomically(path.resolve(), text)
    except OSError as error:  # whose message names the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from None
