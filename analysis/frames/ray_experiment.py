"""Frames of the experiment folder of a plain Ray Tune script; reads only JSON and unpickles nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from absgd import records
from absgd.errors import UserError, nearest
from analysis.frames.ray_columns import ColumnValues
from analysis.frames.ray_trial import RayTrial, read_trial
from analysis.frames.typed_frames import Complain, to_frame
from analysis.wording.number_text import plural


def read_experiment(
    path: Path, names: Mapping[str, str], metric: str | None, complain: Complain
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the trials of an experiment and their epochs, as frames without `folder`.

    A parameter or metric that is a column of ours, by its own name, by `names` or by `ray_columns.ALIASES`, goes into
    that column; other parameters go into columns ``params/<name>``. Ray does not record why a trial ended: one with an
    error file is `failed`, one that ended before the longest trial and before its own `epochs` is `pruned`, the others
    are `completed`. Numbers too large for a column and infinite ones are dropped and reported.

    Args:
        path: the experiment folder.
        names: the script's name -> our column.
        metric: our name of the deciding metric; None for the first known one that the trials report.
        complain: takes sentences about damaged or missing parts.

    Raises:
        UserError: if `names` or `metric` name no column of ours.
    """
    _check(names, metric)
    found = (read_trial(folder, names, complain) for folder in sorted(path.iterdir()))
    trials = [trial for trial in found if trial is not None]
    if not trials:
        complain("no trial with a readable params.json or result.json")
        return None
    deciding = metric or _first_metric(trials)
    if deciding is None or not any(row.get(deciding) is not None for trial in trials for row in trial.epochs):
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


def _first_metric(trials: list[RayTrial]) -> str | None:
    firsts = (row for trial in trials for row in trial.epochs[:1])
    reported = {name for row in firsts for name, value in row.items() if value is not None}
    order = [records.DEFAULT_METRIC, *records.METRICS]
    return next((name for name in order if name in reported), None)


def _frames(path: Path, trials: list[RayTrial], metric: str, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame]:
    longest = max(len(trial.epochs) for trial in trials)
    trial_rows, tables = [], []
    for trial in trials:
        keys = {"run": path.name, "scenario": _scenario(trial.settings, path.name), "trial_id": trial.name}
        epochs = [{"stage": 1, **values, **keys, records.INHERITED: False} for values in trial.epochs]
        summary = records.summary_columns([{metric: None, **row} for row in epochs], metric)
        about = {"phase": "search", "status": _status(trial, longest), "epochs": trial.settings.get("epochs", longest)}
        trial_rows.append({**trial.settings, **keys, **about, **summary, "wall_s": trial.wall_s})
        tables.append(records.as_table(records.EPOCH_SCHEMA, epochs))
    pruned = sum(row["status"] == "pruned" for row in trial_rows)
    if pruned:
        complain(f"{plural(pruned, 'trial')} ended before the longest one ({longest} epochs): taken as stopped early")
    frame = to_frame(records.as_table(records.TRIAL_SCHEMA, trial_rows))
    others = [trial.others for trial in trials]
    others_frame = pd.DataFrame(others, index=frame.index).convert_dtypes() if any(others) else pd.DataFrame()
    epochs_frame = to_frame(pa.concat_tables(tables), records.EPOCH_SCHEMA)
    return pd.concat([frame, others_frame], axis=1), epochs_frame


def _status(trial: RayTrial, longest: int) -> records.Status:
    if trial.has_error or not trial.epochs:
        return "failed"
    is_short = len(trial.epochs) < min(longest, trial.settings.get("epochs", longest))
    return "pruned" if is_short else "completed"


def _scenario(settings: ColumnValues, experiment: str) -> str:
    """Return the scenario's name as absgd-tune forms it; the experiment's name if no data set is given."""
    words = [str(settings["dataset"])] if settings.get("dataset") else []
    for kind, amount in (("imbalance_type", "imbalance_ratio"), ("noise_type", "noise_rate")):
        if words and settings.get(kind) not in (None, "none"):
            words += [str(settings[kind]), *([f"{settings[amount]:g}"] if settings.get(amount) is not None else [])]
    return "-".join(words) or experiment
