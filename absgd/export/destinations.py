"""The files of `--export`: checked before anything is trained, so that the end of a run finds them possible."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absgd.errors import UserError, nearest, shown
from absgd.extras import need_package
from absgd.paths import checked_folder, expanded
from absgd.records.layout import unfinished_prefix

_PACKAGES = {".safetensors": ("safetensors",), ".onnx": ("onnx", "onnxscript", "onnxruntime")}
"""Suffix of a file -> packages that writing it needs."""


def card_of(path: Path) -> Path:
    """File of the model card beside an exported file; files with one stem share it."""
    return path.with_suffix(".md")


def checked_destinations(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files to write, if they can be written as far as is known now.

    Raises:
        UserError: if a suffix is unknown, a package absent, a file exists or is named twice, or its folder cannot be
            written.
    """
    found = tuple(expanded(path, "--export") for path in paths)
    for path in found:
        if path.suffix not in _PACKAGES:
            kinds = " or ".join(f"`{suffix}`" for suffix in _PACKAGES)
            hint = nearest(path.suffix, _PACKAGES)
            raise UserError(f"expected a file that ends in {kinds}, got {shown(str(path))}{hint} (--export)")
        for package in _PACKAGES[path.suffix]:
            need_package(package, "export", "--export")
        if found.count(path) > 1:
            raise UserError(f"expected each file once, got {path} twice (--export)")
        for file in (path, card_of(path)):
            if os.path.lexists(file):
                raise UserError(f"{file} exists: give another file (--export)")
        _check_folder(path)
    return found


def _check_folder(path: Path) -> None:
    folder = checked_folder(path.absolute().parent, "--export")
    known = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=known, prefix=unfinished_prefix(path.name)):  # as it will be written
            return
    except OSError as error:
        reason = error.strerror or str(error)
        is_long = error.errno == errno.ENAMETOOLONG
    if is_long:
        raise UserError(f"expected a shorter name, got {shown(path.name)}: {reason} (--export)")
    raise UserError(f"expected a folder that can be written, got {known}: {reason} (--export)")
