"""The last comparison of each rival in the confirmation of each scenario, as the search recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absgd import records
from absgd.errors import UserError
from analysis.frames.complaints import Complain

RivalRows = Mapping[str, Mapping[str, Any]]
"""Rival -> the row of the last look at which it was compared."""


def read_confirmations(path: Path, complain: Complain) -> dict[str, RivalRows]:
    """Return the last row of each rival, by scenario; a damaged file is reported and counts as absent.

    Args:
        path: a run folder.
        complain: takes sentences about damaged parts.
    """
    found: dict[str, RivalRows] = {}
    folder = path / records.SCENARIOS_FOLDER
    for file in sorted(folder.glob(f"*/{records.CONFIRMATION_FILE}")):
        try:
            rows = records.read_rows(file, records.CONFIRMATION_SCHEMA)
        except UserError as error:
            complain(str(error).replace(f"{path}/", ""))
            continue
        rows = [row for row in rows if row["scenario"] == file.parent.name and row["rival"] and row["look"] is not None]
        rows.sort(key=lambda row: row["look"])
        if rows:
            found[file.parent.name] = {row["rival"]: row for row in rows}
    return found
