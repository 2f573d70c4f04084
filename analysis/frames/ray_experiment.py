"""Frames of the experiment folder of a plain Ray Tune script; reads only JSON and unpickles nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from absgd import records
from absgd.errors import UserError, nearest
from analysis.frames.complaints import Complain
from analysis.frames.ray_columns import ColumnValues
from analysis.frames.ray_outcomes import outcomes
from analysis.frames.ray_scales import Percent, in_fractions, percent_columns, with_epochs_from_0
from analysis.frames.ray_trial import RayTrial, read_trial
from analysis.frames.typed_frames import to_frame


@dataclasses.dataclass(frozen=True)
class RayNames:
    """The meaning of a script's names and numbers, as far as its author tells it.

    Raises:
        UserError: if a column or metric does not exist.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The script's name -> our column; names of nested parameters and metrics are joined by ``/``."""
    metric: str | None = None
    """Our name of the deciding metric; None for the first known one that the trials report."""
    percent: Percent = False
    """Whether accuracies are in percent, or our columns of those that are."""

    def __post_init__(self) -> None:
        valid = [*records.CONFIG_COLUMNS, *records.EPOCH_SCHEMA.names]
        for ours in self.names.values():
            if ours not in valid:
                raise UserError(f"no column `{ours}`{nearest(ours, valid)} (names)")
        if self.metric is not None and self.metric not in records.METRICS:
            raise UserError(f"no metric `{self.metric}`{nearest(self.metric, records.METRICS)} (metric)")
        percent_columns(self.percent)


def read_experiment(path: Path, told: RayNames, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the trials of an experiment and their epochs, as frames without `folder`.

    A parameter or metric that is a column of ours, by its own name, by `told.names` or by `ray_columns.ALIASES`, goes
    into that column; other parameters go into columns ``params/<name>``. Numbers too large for a column and infinite
    ones are dropped. Everything that is dropped or assumed is reported; `ray_outcomes` says how trials ended.

    Args:
        path: the experiment folder.
        told: the meaning of the script's names and numbers.
        complain: takes sentences about damaged or missing parts, and about assumptions.

    Returns:
        The frames; None if there is no intact trial, no known metric, or an accuracy out of its range.
    """
    found = (_readable_trial(folder, told.names, complain) for folder in sorted(path.iterdir()))
    trials = [trial for trial in found if trial is not None]
    if not trials:
        complain("no trial with a readable params.json or result.json")
        return None
    _say_unused_names(trials, told.names, complain)
    for ours, used, other in dict.fromkeys(rival for trial in trials for rival in trial.rivals):
        complain(f"`{ours}` is read from `{used}`, not from `{other}`")
    if not in_fractions(trials, told.percent, complain):
        return None
    deciding = told.metric or _first_metric(trials)
    if deciding is None or not any(row.get(deciding) is not None for trial in trials for row in trial.epochs):
        reported = sorted({name for trial in trials for name in trial.metrics})
        complain(f"no known metric is reported: say which, `load(..., names={{'THEIRS': 'val_accuracy'}})`: {reported}")
        return None
    with_epochs_from_0(trials, complain)
    return _frames(path, trials, deciding, complain)


def _readable_trial(folder: Path, names: Mapping[str, str], complain: Complain) -> RayTrial | None:
    try:
        return read_trial(folder, names, complain)
    except OSError as error:
        complain(f"cannot read {folder.name}: {error.strerror or error}; left out")
        return None


def _say_unused_names(trials: Sequence[RayTrial], names: Mapping[str, str], complain: Complain) -> None:
    there = {name for trial in trials for name in (*trial.metrics, *trial.parameters)}
    for name in names:
        if name not in there:
            complain(f"no parameter or metric `{name}`{nearest(name, there)} (names)")


def _first_metric(trials: list[RayTrial]) -> str | None:
    reported = {name for trial in trials for row in trial.epochs for name, value in row.items() if value is not None}
    order = [records.DEFAULT_METRIC, *records.METRICS]
    return next((name for name in order if name in reported), None)


def _frames(path: Path, trials: list[RayTrial], metric: str, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame]:
    longest = max(trial.epochs_reached for trial in trials)
    trial_rows, tables = [], []
    for trial, status in zip(trials, outcomes(path, trials, metric, complain), strict=True):
        keys = {"run": path.name, "scenario": _scenario(trial.settings, path.name), "trial_id": trial.name}
        epochs = [{"stage": 1, **values, **keys, records.INHERITED: False} for values in trial.epochs]
        summary = records.summary_columns([{metric: None, **row} for row in epochs], metric)
        about = {"phase": "search", "pair": 0, "status": status, "epochs": trial.settings.get("epochs", longest)}
        trial_rows.append({**trial.settings, **keys, **about, **summary, "wall_s": trial.wall_s})
        tables.append(records.as_table(records.EPOCH_SCHEMA, epochs))
    frame = to_frame(records.as_table(records.TRIAL_SCHEMA, trial_rows))
    others = [trial.others for trial in trials]
    others_frame = pd.DataFrame(others, index=frame.index).convert_dtypes() if any(others) else pd.DataFrame()
    epochs_frame = to_frame(pa.concat_tables(tables), records.EPOCH_SCHEMA)
    return pd.concat([frame, others_frame], axis=1), epochs_frame


def _scenario(settings: ColumnValues, experiment: str) -> str:
    """Return the scenario's name as absgd-tune forms it; the experiment's name if no data set is given."""
    words = [str(settings["dataset"])] if settings.get("dataset") else []
    for kind, amount in (("imbalance_type", "imbalance_ratio"), ("noise_type", "noise_rate")):
        if words and settings.get(kind) not in (None, "none"):
            words += [str(settings[kind]), *([f"{settings[amount]:g}"] if settings.get(amount) is not None else [])]
    return "-".join(words) or experiment
