"""Experiment folders of a plain Ray Tune script, from params.json and result.json alone: nothing is unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from absgd import records
from absgd.errors import UserError, nearest
from analysis.frames import Complain, to_frame

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
    folder: Path
    params: Mapping[str, Any]
    results: list[Row]
    has_error: bool


def read(
    path: Path, names: Mapping[str, str], metric: str | None, complain: Complain
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The trials of an experiment and their epochs, as frames without `folder`.

    A parameter or metric that is a column of ours, by its own name, by `names` or by ALIASES, stands there; other
    parameters stand in columns ``params/<name>``. Ray does not write down why a trial ended: one with an error file is
    `failed`, one that ended before the longest is `pruned`, the others are `completed`.

    Args:
        path: the experiment folder.
        names: their name -> our column.
        metric: our name of what decides; None for the first known one that the trials report.
        complain: takes sentences about what was not whole.

    Raises:
        UserError: if `names` or `metric` name no column of ours.
    """
    _check(names, metric)
    trials = [trial for folder in sorted(path.iterdir()) if (trial := _trial(folder, complain)) is not None]
    if not trials:
        complain("no trial with a readable params.json or result.json")
        return None
    renamed = {trial.folder.name: _renamed(trial, names) for trial in trials}
    deciding = metric or _first_metric(renamed)
    if deciding is None or not any(row.get(deciding) is not None for rows in renamed.values() for row in rows):
        reported = sorted({str(key) for trial in trials for row in trial.results[:1] for key in row})
        complain(f"no known metric is reported: say which, `load(..., names={{'THEIRS': 'val_accuracy'}})`: {reported}")
        return None
    return _frames(path, trials, renamed, names, deciding, complain)


def _check(names: Mapping[str, str], metric: str | None) -> None:
    valid = [*records.CONFIG_COLUMNS, *records.EPOCH_SCHEMA.names]
    for ours in names.values():
        if ours not in valid:
            raise UserError(f"no column `{ours}`{nearest(ours, valid)} (names)")
    if metric is not None and metric not in records.METRICS:
        raise UserError(f"no metric `{metric}`{nearest(metric, records.METRICS)} (metric)")


def _trial(folder: Path, complain: Complain) -> _Trial | None:
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
    has_error = (folder / "error.txt").exists() or (folder / "error.pkl").exists()
    return _Trial(folder, params, results, has_error)


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


def _renamed(trial: _Trial, names: Mapping[str, str]) -> list[Row]:
    """Results with our names, one per epoch: of an epoch that a restored trial reports again, the later one."""
    columns: dict[str, str | None] = {}
    rows: dict[int, Row] = {}
    for place, result in enumerate(trial.results):
        row: Row = {}
        for name, value in result.items():
            if name not in columns:
                columns[name] = _column(name, names, _EPOCH_TYPES)
            ours = columns[name]
            if ours is not None and ours not in row:
                row[ours] = _typed(value, _EPOCH_TYPES[ours])
        if row.get("epoch") is None:
            done = result.get("training_iteration")
            row["epoch"] = done - 1 if isinstance(done, int) else place
        rows[row["epoch"]] = row
    return [rows[epoch] for epoch in sorted(rows)]


def _typed(value: Any, kind: Any) -> Any:
    """A value as a column takes it; None where it cannot."""
    text = str(kind)
    if text.startswith("list"):
        return [_typed(item, kind.value_type) for item in value] if isinstance(value, list) else None
    if text == "string":
        return None if value is None else str(value)
    if text == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if text == "int64" and value == int(value) else None if text == "int64" else float(value)


def _first_metric(rows: Mapping[str, list[Row]]) -> str | None:
    reported = {name for own in rows.values() for row in own[:1] for name, value in row.items() if value is not None}
    order = [records.DEFAULT_METRIC, *records.METRICS]
    return next((name for name in order if name in reported), None)


def _frames(
    path: Path,
    trials: list[_Trial],
    renamed: Mapping[str, list[Row]],
    names: Mapping[str, str],
    metric: str,
    complain: Complain,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    longest = max(len(rows) for rows in renamed.values())
    trial_rows, epoch_rows, extra = [], [], []
    for trial in trials:
        name, rows = trial.folder.name, renamed[trial.folder.name]
        settings, others = _settings(trial.params, names)
        status = "failed" if trial.has_error or not rows else "pruned" if len(rows) < longest else "completed"
        keys = {"run": path.name, "scenario": _scenario(settings, path.name), "trial_id": name}
        own = [{"stage": 1, **row, **keys, "inherited": False} for row in rows]
        summary = records.summary_columns([{metric: None, **row} for row in own], metric)
        about = {"phase": "search", "status": status, "epochs": settings.get("epochs", longest)}
        trial_rows.append({**settings, **keys, **about, **summary, "wall_s": _wall_s(trial)})
        epoch_rows += own
        extra.append(others)
    pruned = sum(row["status"] == "pruned" for row in trial_rows)
    if pruned:
        complain(f"{pruned} trials ended before the longest one ({longest} epochs): taken as stopped early")
    frame = to_frame(records.as_table(records.TRIAL_SCHEMA, trial_rows))
    others_frame = pd.DataFrame(extra, index=frame.index).convert_dtypes() if any(extra) else pd.DataFrame()
    epochs = to_frame(records.as_table(records.EPOCH_SCHEMA, epoch_rows), records.EPOCH_SCHEMA)
    return pd.concat([frame, others_frame], axis=1), epochs


def _settings(params: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Row, Row]:
    """Parameters that are settings of ours, and the others."""
    settings: Row = {}
    others: Row = {}
    for name, value in _flat(params):
        ours = _column(name, names, records.CONFIG_COLUMNS) or _column(
            name.rpartition("/")[2], names, records.CONFIG_COLUMNS
        )
        typed = None if ours is None or ours in settings else _typed(value, _TRIAL_TYPES[ours])
        if ours is not None and typed is not None:
            settings[ours] = typed
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


def _wall_s(trial: _Trial) -> float | None:
    total = trial.results[-1].get("time_total_s") if trial.results else None
    return float(total) if isinstance(total, int | float) else None
