"""Options of users' own parts, each as a column: `model.options.width`, as a space names it."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from absgd.records import OPTION_COLUMNS
from analysis.frames.complaints import Complain


def with_option_columns(trials: pd.DataFrame, complain: Complain) -> pd.DataFrame:
    """Add a column for each option in a frame of trials; no plugin is loaded for it."""
    found: dict[str, list[Any]] = {}
    for column, section in OPTION_COLUMNS.items():
        rows = [_options(text, column, complain) for text in trials.get(column, ())]
        for name in dict.fromkeys(name for row in rows for name in row):
            found[f"{section}.{name}"] = [row.get(name) for row in rows]
    return trials.assign(**{name: pd.Series(values, index=trials.index) for name, values in found.items()})


def is_option_column(name: str) -> bool:
    """Whether a column holds an option.

    >>> is_option_column("model.options.width"), is_option_column("model_options")
    (True, False)
    """
    return name.rpartition(".")[0] in OPTION_COLUMNS.values()


def _options(text: object, column: str, complain: Complain) -> dict[str, Any]:
    if not isinstance(text, str):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and all(isinstance(one, bool | int | float | str | None) for one in found.values()):
        return {str(name): value for name, value in found.items()}
    complain(f"column `{column}` holds {text[:40]!r} in place of options; taken as empty")
    return {}
