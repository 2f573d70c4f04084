"""One trial of a plain Ray Tune script, from params.json and result.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from analysis.frames.ray_columns import (
    EPOCH_TYPES,
    SETTING_TYPES,
    ColumnValues,
    column_of,
    converter,
    is_too_large,
    real_number,
    whole_number,
)
from analysis.frames.typed_frames import Complain

PARAMETER = "params/"
"""Prefix of the columns of parameters that are not settings of ours."""

JsonObject = dict[str, Any]


class RayTrial(NamedTuple):
    """The content of a trial's folder, in our columns."""

    name: str
    settings: ColumnValues
    """Parameters that are settings of ours."""
    others: ColumnValues
    """The other parameters, in columns `params/NAME`."""
    epochs: list[ColumnValues]
    """One row per epoch, in order."""
    reported: set[str]
    """Names on the first line of result.json, as the script spells them."""
    wall_s: float | None
    has_error: bool


def read_trial(folder: Path, names: Mapping[str, str], complain: Complain) -> RayTrial | None:
    """Read the folder of a trial; None if it is not one, or its parameters are unreadable."""
    params_file, result_file = folder / "params.json", folder / "result.json"
    if not (params_file.is_file() or result_file.is_file()):
        return None
    results = list(_results(result_file, complain)) if result_file.is_file() else []
    params = _json_object(params_file, complain) if params_file.is_file() else None
    if params is None:
        params = results[-1].get("config") if results else None
    if not isinstance(params, Mapping):
        complain(f"{folder.name}: no readable params.json; left out")
        return None
    lost: set[str] = set()
    has_error = (folder / "error.txt").exists() or (folder / "error.pkl").exists()
    reported = {str(name) for name in results[0]} if results else set()
    epochs, (settings, others) = _epochs(results, names, lost), _settings(params, names, lost)
    if lost:
        complain(f"{folder.name}: number too large, left out: {', '.join(sorted(lost))}")
    return RayTrial(folder.name, settings, others, epochs, reported, _wall_s(results), has_error)


def _json_object(file: Path, complain: Complain) -> JsonObject | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        complain(f"cannot read {file.parent.name}/{file.name}: {str(error).splitlines()[0]}")
        return None
    return data if isinstance(data, dict) else None


def _results(file: Path, complain: Complain) -> Iterator[JsonObject]:
    """Yield the intact lines of result.json."""
    damaged = 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                result = json.loads(line)
            except (ValueError, RecursionError):
                damaged += bool(line.strip())
                continue
            if isinstance(result, dict):
                yield result
    if damaged:
        complain(f"{file.parent.name}/{file.name}: {damaged} damaged line{'s' * (damaged > 1)} left out")


def _epochs(results: list[JsonObject], names: Mapping[str, str], lost: set[str]) -> list[ColumnValues]:
    """Return the results in our columns, one per epoch; the later one if a restored trial reports an epoch again.

    Args:
        results: lines of result.json.
        names: the script's name -> our column.
        lost: receives the script's names of numbers that no column can hold.
    """
    columns: dict[str, tuple[str, Callable[[Any], Any]] | None] = {}
    found: dict[int, ColumnValues] = {}
    for place, result in enumerate(results):
        values: ColumnValues = {}
        for name, value in result.items():
            if name not in columns:
                ours = column_of(name, names, EPOCH_TYPES)
                columns[name] = None if ours is None else (ours, converter(EPOCH_TYPES[ours]))
            column = columns[name]
            if column is not None and column[0] not in values:
                values[column[0]] = column[1](value)
                if values[column[0]] is None and is_too_large(value):
                    lost.add(name)
        if values.get("epoch") is None:
            done = whole_number(result.get("training_iteration"))
            values["epoch"] = place if done is None else done - 1
        found[values["epoch"]] = values
    return [found[epoch] for epoch in sorted(found)]


def _settings(params: Mapping[str, Any], names: Mapping[str, str], lost: set[str]) -> tuple[ColumnValues, ColumnValues]:
    """Return the parameters that are settings of ours, and the others.

    Args:
        params: content of params.json.
        names: the script's name -> our column.
        lost: receives the script's names of numbers that no column can hold.
    """
    settings: ColumnValues = {}
    others: ColumnValues = {}
    for name, value in _flat(params):
        ours = column_of(name, names, SETTING_TYPES) or column_of(name.rpartition("/")[2], names, SETTING_TYPES)
        typed = None if ours is None or ours in settings else converter(SETTING_TYPES[ours])(value)
        if ours is not None and typed is not None:
            settings[ours] = typed
        elif is_too_large(value):
            lost.add(name)
        elif isinstance(value, bool | int | float | str):
            others[PARAMETER + name] = value
    return settings, others


def _flat(params: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value


def _wall_s(results: list[JsonObject]) -> float | None:
    return real_number(results[-1].get("time_total_s")) if results else None
