"""Experiment folders of a plain Ray Tune script, from params.json and result.json alone: nothing is unpickled."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from absgd import records
from absgd.errors import UserError, nearest
from analysis.frames import Complain, to_frame
from analysis.numbers import plural

ALIASES = {
    "lambda": "lam",
    "lamda": "lam",
    "mylambda": "lam",
    "drogamma": "gamma",
    "abgamma": "gamma",
    "abalpha": "ab_alpha",
    "imb_type": "imbalance_type",
    "imb_factor": "imbalance_ratio",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "learning_rate": "lr",
    "wd": "weight_decay",
    "loss_type": "loss",
    "lamda_shots": "switch_epoch",
    "seed": "seed_train",
    "accuracy": "val_accuracy",
    "mean_accuracy": "val_accuracy",
    "val_acc": "val_accuracy",
    "balanced_accuracy": "val_balanced_accuracy",
    "mean_loss": "val_loss",
}
"""Common spellings, in lower case -> our columns; a name of ours stands for itself."""
PARAMETER = "params/"
"""Before the name of a parameter that is no column of ours."""

Row = dict[str, Any]


class _Trial(NamedTuple):
    name: str
    settings: Row
    """Parameters that are settings of ours."""
    others: Row
    """The other parameters."""
    rows: list[Row]
    """One per epoch, with our names."""
    reported: set[str]
    """Their names of what the first line reports."""
    wall_s: float | None
    has_error: bool


def read(
    path: Path, names: Mapping[str, str], metric: str | None, complain: Complain
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The trials of an experiment and their epochs, as frames without `folder`.

    A parameter or metric that is a column of ours, by its own name, by `names` or by ALIASES, stands there; other
    parameters stand in columns ``params/<name>``. Ray does not write down why a trial ended: one with an error file is
    `failed`, one that ended before the longest, and before its own `epochs`, is `pruned`, the others are `completed`.
    Numbers too large for a column, and infinite ones, are lost and told.

    Args:
        path: the experiment folder.
        names: their name -> our column.
        metric: our name of what decides; None for the first known one that the trials report.
        complain: takes sentences about what was not whole.

    Raises:
        UserError: if `names` or `metric` name no column of ours.
    """
    _check(names, metric)
    found = (_trial(folder, names, complain) for folder in sorted(path.iterdir()))
    trials = [trial for trial in found if trial is not None]
    if not trials:
        complain("no trial with a readable params.json or result.json")
        return None
    deciding = metric or _first_metric(trials)
    if deciding is None or not any(row.get(deciding) is not None for trial in trials for row in trial.rows):
        reported = sorted({name for trial in trials for name in trial.reported})
        complain(f"no known metric is reported: say which, `load(..., names={{'THEIRS': 'val_accuracy'}})`: {reported}")
        return None
    return _frames(path, trials, deciding, complain)


def _check(names: Mapping[str, str], metric: str | None) -> None:
    valid = [*records.CONFIG_COLUMNS, *records.EPOCH_SCHEMA.names]
    for ours in names.values():
        if ours not in valid:
            raise UserError(f"no column `{ours}`{nearest(ours, valid)} (names)")
    if metric is not None and metric not in records.METRICS:
        raise UserError(f"no metric `{metric}`{nearest(metric, records.METRICS)} (metric)")


def _trial(folder: Path, names: Mapping[str, str], complain: Complain) -> _Trial | None:
    """What a trial's folder holds; None where it is none."""
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
    rows, settings = _renamed(results, names, lost), _settings(params, names, lost)
    if lost:
        complain(f"{folder.name}: too large a number, left out: {', '.join(sorted(lost))}")
    return _Trial(folder.name, *settings, rows, reported, _wall_s(results), has_error)


def _json_object(file: Path, complain: Complain) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        complain(f"cannot read {file.parent.name}/{file.name}: {str(error).splitlines()[0]}")
        return None
    return data if isinstance(data, dict) else None


def _results(file: Path, complain: Complain) -> Iterator[Row]:
    """Lines of result.json that are whole."""
    damaged = 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                damaged += bool(line.strip())
                continue
            if isinstance(row, dict):
                yield row
    if damaged:
        complain(f"{file.parent.name}/{file.name}: {damaged} line{'s' * (damaged > 1)} not whole, left out")


_EPOCH_TYPES = {field.name: field.type for field in records.EPOCH_SCHEMA}
_TRIAL_TYPES = {field.name: field.type for field in records.TRIAL_SCHEMA}


def _column(name: str, names: Mapping[str, str], known: Mapping[str, Any]) -> str | None:
    """Our column of one of their names."""
    for ours in (names.get(name), name, ALIASES.get(name.lower()), ALIASES.get(name.lower().replace("_", ""))):
        if ours in known:
            return ours
    return None


def _renamed(results: list[Row], names: Mapping[str, str], lost: set[str]) -> list[Row]:
    """Results with our names, one per epoch: of an epoch that a restored trial reports again, the later one.

    Args:
        results: lines of result.json.
        names: their name -> our column.
        lost: gets their names of numbers that no column can hold.
    """
    columns: dict[str, tuple[str, Callable[[Any], Any]] | None] = {}
    rows: dict[int, Row] = {}
    for place, result in enumerate(results):
        row: Row = {}
        for name, value in result.items():
            if name not in columns:
                ours = _column(name, names, _EPOCH_TYPES)
                columns[name] = None if ours is None else (ours, _converter(_EPOCH_TYPES[ours]))
            column = columns[name]
            if column is not None and column[0] not in row:
                row[column[0]] = column[1](value)
                if row[column[0]] is None and _is_too_large(value):
                    lost.add(name)
        if row.get("epoch") is None:
            done = _whole(result.get("training_iteration"))
            row["epoch"] = place if done is None else done - 1
        rows[row["epoch"]] = row
    return [rows[epoch] for epoch in sorted(rows)]


@cache
def _converter(kind: pa.DataType) -> Callable[[Any], Any]:
    """What makes a value of JSON one that a column takes; None where it cannot."""
    if pa.types.is_list(kind):
        inner = _converter(kind.value_type)
        return lambda value: [inner(item) for item in value] if isinstance(value, list) else None
    return {pa.string(): _text, pa.bool_(): _truth, pa.int64(): _whole}.get(kind, _number)


def _number(value: Any) -> float | None:
    is_number = type(value) is float or (type(value) is int and abs(value) <= _LARGEST)  # not bool
    return float(value) if is_number and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    whole = int(value) if type(value) is float and value.is_integer() else value
    return whole if type(whole) is int and abs(whole) < _END_OF_INT64 else None


_END_OF_INT64 = 2**63
_LARGEST = int(sys.float_info.max)


def _is_too_large(value: Any) -> bool:
    """Whether a value is a number that neither a whole nor a real column takes, or that is infinite; NaN is missing."""
    return (type(value) is int and abs(value) >= _END_OF_INT64) or (type(value) is float and math.isinf(value))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _first_metric(trials: list[_Trial]) -> str | None:
    firsts = (row for trial in trials for row in trial.rows[:1])
    reported = {name for row in firsts for name, value in row.items() if value is not None}
    order = [records.DEFAULT_METRIC, *records.METRICS]
    return next((name for name in order if name in reported), None)


def _frames(path: Path, trials: list[_Trial], metric: str, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame]:
    longest = max(len(trial.rows) for trial in trials)
    trial_rows, tables, extra = [], [], []
    for trial in trials:
        name, rows = trial.name, trial.rows
        settings = trial.settings
        is_short = len(rows) < min(longest, settings.get("epochs", longest))
        status = "failed" if trial.has_error or not rows else "pruned" if is_short else "completed"
        keys = {"run": path.name, "scenario": _scenario(settings, path.name), "trial_id": name}
        own = [{"stage": 1, **row, **keys, "inherited": False} for row in rows]
        summary = records.summary_columns([{metric: None, **row} for row in own], metric)
        about = {"phase": "search", "status": status, "epochs": settings.get("epochs", longest)}
        trial_rows.append({**settings, **keys, **about, **summary, "wall_s": trial.wall_s})
        tables.append(records.as_table(records.EPOCH_SCHEMA, own))
        extra.append(trial.others)
    pruned = sum(row["status"] == "pruned" for row in trial_rows)
    if pruned:
        complain(f"{plural(pruned, 'trial')} ended before the longest one ({longest} epochs): taken as stopped early")
    frame = to_frame(records.as_table(records.TRIAL_SCHEMA, trial_rows))
    others_frame = pd.DataFrame(extra, index=frame.index).convert_dtypes() if any(extra) else pd.DataFrame()
    epochs = to_frame(pa.concat_tables(tables), records.EPOCH_SCHEMA)
    return pd.concat([frame, others_frame], axis=1), epochs


def _settings(params: Mapping[str, Any], names: Mapping[str, str], lost: set[str]) -> tuple[Row, Row]:
    """Parameters that are settings of ours, and the others; `lost` gets names of numbers that no column can hold."""
    settings: Row = {}
    others: Row = {}
    for name, value in _flat(params):
        ours = _column(name, names, records.CONFIG_COLUMNS) or _column(
            name.rpartition("/")[2], names, records.CONFIG_COLUMNS
        )
        typed = None if ours is None or ours in settings else _converter(_TRIAL_TYPES[ours])(value)
        if ours is not None and typed is not None:
            settings[ours] = typed
        elif _is_too_large(value):
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


def _scenario(settings: Row, experiment: str) -> str:
    """Named as by absgd-tune: data set, imbalance, noise; after the experiment where no data set is given."""
    words = [str(settings["dataset"])] if settings.get("dataset") else []
    for kind, amount in (("imbalance_type", "imbalance_ratio"), ("noise_type", "noise_rate")):
        if words and settings.get(kind) not in (None, "none"):
            words += [str(settings[kind]), *([f"{settings[amount]:g}"] if settings.get(amount) is not None else [])]
    return "-".join(words) or experiment


def _wall_s(results: list[Row]) -> float | None:
    return _number(results[-1].get("time_total_s")) if results else None
