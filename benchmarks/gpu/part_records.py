"""The record of a part: what it measured, and how it ended; one JSON file for each part."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absgd.errors import UserError
from absgd.records import write_atomically
from benchmarks.gpu.part_table import PARTS, HourPart
from benchmarks.harness.target_verdicts import TargetVerdict

RUNNING, PASSED, FAILED, TIMED_OUT, INTERRUPTED = "running", "passed", "failed", "timed out", "interrupted"
NOT_MEASURED = "not measured"
"""Stands wherever something was not run."""


@dataclasses.dataclass(frozen=True)
class PartSection:
    """One measurement of a part."""

    title: str
    lines: tuple[str, ...]
    """The measurement as text."""
    values: Any = None
    """The same as plain data."""
    verdicts: tuple[TargetVerdict, ...] = ()
    """Targets of speed; missing one is a result, and fails nothing."""
    faults: tuple[str, ...] = ()
    """Sentences on what is wrong: each fails the part."""


@dataclasses.dataclass(frozen=True)
class PartRecord:
    """The measurements of a part, and its outcome."""

    number: int
    is_dry_run: bool
    status: str
    limit_s: float
    """Seconds that it might take."""
    wall_s: float = 0.0
    message: str = ""
    """Why it did not pass, in one line."""
    last_lines: tuple[str, ...] = ()
    """End of its output, if it did not pass."""
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    sections: tuple[PartSection, ...] = ()

    def write(self, folder: Path, part: HourPart) -> None:
        """Replace the file of the part in `folder`."""
        content = {"title": part.title, **dataclasses.asdict(self)}
        write_atomically(record_path(folder, part), json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")


def record_path(folder: Path, part: HourPart) -> Path:
    """Return the file of a part's record."""
    return folder / f"{part.stem}.json"


def read_record(folder: Path, part: HourPart) -> PartRecord | None:
    """Read the record of a part; None if there is none.

    Raises:
        UserError: if the file cannot be read or is not such a record.
    """
    path = record_path(folder, part)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        sections = tuple(_section(one) for one in kept.pop("sections"))
        kept["last_lines"] = tuple(kept["last_lines"])
        del kept["title"]
        return PartRecord(**kept, sections=sections)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise UserError(f"cannot read {path}: remove it, and the part is measured again") from None


def read_records(folder: Path) -> dict[int, PartRecord]:
    """Read number -> record of every part that has one.

    Raises:
        UserError: as `read_record`.
    """
    found = {part.number: read_record(folder, part) for part in PARTS}
    return {number: record for number, record in found.items() if record is not None}


def _section(kept: dict[str, Any]) -> PartSection:
    verdicts = tuple(TargetVerdict(**verdict) for verdict in kept["verdicts"])
    lines, faults = tuple(kept["lines"]), tuple(kept["faults"])
    return PartSection(kept["title"], lines, kept["values"], verdicts, faults)


def _plain(value: Any) -> Any:
    """Return plain data: named tuples become mappings, and numbers that JSON does not have become their names."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
