"""Where a report is written, and as what: the path that `--out` names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from absgd.errors import UserError
from absgd.paths import is_endless
from absgd.records import write_atomically

Format = Literal["html", "md", "latex", "csv"]
SUFFIXES: dict[str, Format] = {".html": "html", ".htm": "html", ".md": "md", ".tex": "latex", ".csv": "csv"}
_NO_REPORTS = (".pdf", ".png", ".svg", ".json", ".yaml", ".yml", ".xlsx", ".parquet", ".docx")


def format_of(path: Path | None, given: Format | None) -> Format:
    """The format asked for: as given, else by the suffix of the file, else HTML.

    >>> format_of(Path("table.tex"), None)
    'latex'

    Raises:
        UserError: if the suffix belongs to another format, or to a kind of file that is none of them.
    """
    suffix = path.suffix.lower() if path is not None else ""
    told = SUFFIXES.get(suffix)
    if suffix in _NO_REPORTS:
        raise UserError(f"expected a file of {', '.join(SUFFIXES)}, got {path} (--out)")
    if given is not None and told not in (None, given):
        wanted = " or ".join(name for name, kind in SUFFIXES.items() if kind == given)
        raise UserError(f"expected a file of {wanted} for --format {given}, got {path} (--out)")
    return given or told or "html"


def check_is_file(path: Path) -> None:
    """Refuse a path at which a folder is.

    Raises:
        UserError: if one is there.
    """
    if path.is_dir():
        raise UserError(f"expected a file, got the folder {path} (--out)")


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
