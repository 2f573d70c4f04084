"""Read the Parquet tables of a run folder: keep the intact rows and report the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from absgd import records
from absgd.counts import plural
from analysis.frames.complaints import Complain, reason_of
from analysis.frames.typed_frames import to_frame, total_epochs

ESSENTIAL_TRIAL = ("scenario", "trial_id", "phase", "status")
ESSENTIAL_EPOCH = ("trial_id", "epoch")
_AT_CHOSEN = tuple(records.TEST_CHOSEN + name.removeprefix("test_") for name in records.TEST_SCALARS)
SCORES = ("metric_last", "metric_chosen")
FRACTIONS = {name for name in (*records.METRICS, *records.TEST_SCALARS, *_AT_CHOSEN) if records.is_fraction(name)}
"""Columns whose values are between 0 and 1."""
ROUNDING = 1e-6
"""By how much rounding may take a fraction out of its range."""


def read_trials(path: Path, complain: Complain) -> pd.DataFrame | None:
    """Return the intact rows of a trials.parquet, without `folder`; None if the file cannot be read."""
    table = _read(path, records.TRIAL_SCHEMA, ESSENTIAL_TRIAL, complain)
    if table is None:
        return None
    frame = _without_infinities(_intact_trials(to_frame(table), path.name, complain), path.name, complain)
    frame = _with_known_metrics(frame, path.name, complain)
    fractions = [metric for metric in records.METRICS if records.is_fraction(metric)]
    scores = {**dict.fromkeys(SCORES, frame.metric.isin(fractions)), "second_last": frame.second_metric.isin(fractions)}
    return _without_impossible(frame, scores, path.name, complain)


def read_epochs(path: Path, trials: pd.DataFrame, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the trials whose curves are complete, and their epochs; without the file, all trials and no epochs.

    Args:
        path: epochs.parquet.
        trials: the trials of the same folder, from `read_trials`.
        complain: takes sentences about damaged or missing parts.
    """
    table = _read(path, records.EPOCH_SCHEMA, ESSENTIAL_EPOCH, complain)
    if table is None:
        return trials, to_frame(records.as_table(records.EPOCH_SCHEMA, []), records.EPOCH_SCHEMA)
    epochs = _intact_epochs(to_frame(table, records.EPOCH_SCHEMA), trials, path.name, complain)
    epochs = _without_infinities(epochs, path.name, complain)
    epochs = _without_impossible(epochs, {}, path.name, complain)
    return _with_complete_curves(trials, epochs, complain)


def _read(path: Path, schema: pa.Schema, essential: Sequence[str], complain: Complain) -> pa.Table | None:
    """Read a file into exactly the columns of `schema`: report missing ones and fill them with nulls, drop others."""
    if not path.is_file():
        complain(f"no {path.name}")
        return None
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        complain(f"cannot read {path.name}: {reason_of(error)}")
        return None
    added_later = (*records.ADDED_LATER, *records.LATER_METRICS, *records.PARETO_COLUMNS, records.PAIR)
    lacking = [name for name in schema.names if name not in (*table.column_names, *added_later)]
    missing = [name for name in lacking if name in essential]
    if missing:
        complain(f"{path.name} has no column `{missing[0]}`: not written by absgd")
        return None
    if lacking:
        complain(f"{path.name} is from an older version: no column {_listed(lacking)}; taken as empty")
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        complain(f"{path.name} is from another version: column {_listed(unknown)} left out")
    return _conform(table, schema, essential, path.name, complain)


def _conform(
    table: pa.Table, schema: pa.Schema, essential: Sequence[str], file: str, complain: Complain
) -> pa.Table | None:
    columns = []
    for field in schema:
        empty = pa.nulls(table.num_rows, field.type)
        if field.name not in table.column_names:
            default = records.ADDED_LATER.get(field.name)
            if field.name == records.PAIR:
                columns.append(pa.array(records.earlier_pairs(table), field.type))
            else:
                columns.append(empty if default is None else pa.array([default] * table.num_rows, field.type))
            continue
        column = table.column(field.name)
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except pa.ArrowException:
                complain(f"{file}: column `{field.name}` holds {column.type} instead of {field.type}; taken as empty")
                if field.name in essential:
                    return None
                column = empty
        columns.append(column)
    return pa.table(columns, schema=schema)


def _intact_trials(frame: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    frame["scenario"] = frame.scenario.fillna(frame.run)  # a run of absgd-train belongs to no search
    has_keys = frame[list(ESSENTIAL_TRIAL)].notna().all(axis=1)
    is_known = frame.status.isin(records.STATUSES) & frame.phase.isin(records.PHASES)
    is_intact = has_keys & is_known
    if not is_intact.all():
        complain(f"{file}: {plural(int((~is_intact).sum()), 'damaged row')} left out")
    frame = frame[is_intact]
    is_repeated = frame.trial_id.duplicated()
    if is_repeated.any():
        complain(f"{file}: {plural(int(is_repeated.sum()), 'row')} with a repeated `trial_id` left out")
        frame = frame[~is_repeated]
    return frame.reset_index(drop=True)


def _without_infinities(frame: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    """Take infinite numbers as missing: one would rank before every score."""
    for name in frame.columns[frame.dtypes == np.dtype("float64")]:
        is_infinite = np.isinf(frame[name].to_numpy())
        if is_infinite.any():
            complain(f"{file}: {plural(int(is_infinite.sum()), 'infinite value')} of `{name}` taken as missing")
            frame[name] = frame[name].where(~is_infinite)
    return frame


def _without_impossible(
    frame: pd.DataFrame, others: Mapping[str, pd.Series[bool]], file: str, complain: Complain
) -> pd.DataFrame:
    """Take accuracies outside 0 to 1 as missing: one of 95 would be shown as 9500 %.

    Args:
        frame: trials or epochs.
        others: further columns, with the rows in which they hold fractions.
        file: names the table in messages.
        complain: takes a sentence about each column.
    """
    every = pd.Series(True, index=frame.index)
    columns = {name: every for name in frame.columns if name in FRACTIONS} | dict(others)
    for name, holds_fraction in columns.items():
        is_impossible = ~frame[name].between(-ROUNDING, 1 + ROUNDING) & frame[name].notna() & holds_fraction
        if is_impossible.any():
            number = plural(int(is_impossible.sum()), "value")
            complain(f"{file}: {number} of `{name}` outside 0 to 1 taken as missing")
            frame[name] = frame[name].where(~is_impossible)
    return frame


def _with_known_metrics(frame: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    """Remove score and metric of rows whose metric is not one of `records.METRICS`."""
    is_known = frame.metric.isin(records.METRICS)
    unknown = frame.metric[~is_known]
    if is_known.all():
        return frame
    is_ended = ~frame.status[~is_known].isin(("running", "interrupted", "failed"))
    if is_ended.any() or unknown.notna().any():
        others = unknown.dropna().unique().tolist()
        detail = f": no such metric as {_listed(others)}" if others else ""
        complain(f"{file}: {plural(len(unknown), 'row')} without a known `metric` have no score{detail}")
    frame["metric"] = frame.metric.where(is_known)
    for name in ("metric_last", "metric_chosen"):
        frame[name] = frame[name].where(is_known)
    return frame


def _intact_epochs(frame: pd.DataFrame, trials: pd.DataFrame, file: str, complain: Complain) -> pd.DataFrame:
    has_keys = frame.trial_id.notna() & frame.epoch.notna()
    is_own = frame.trial_id.isin(trials.trial_id)
    is_repeated = frame.duplicated(["trial_id", "epoch"])
    is_intact = has_keys & ~is_repeated
    if not is_intact.all():
        complain(f"{file}: {plural(int((~is_intact).sum()), 'damaged row')} left out")
    if not is_own[is_intact].all():
        complain(f"{file}: {plural(int((~is_own)[is_intact].sum()), 'row')} of unknown trials left out")
    keep = is_intact & is_own
    frame = frame if keep.all() else frame[keep].reset_index(drop=True)
    frame["epoch"] = frame.epoch.astype("int64")
    if frame.scenario.isna().any():
        frame["scenario"] = frame.trial_id.map(trials.set_index("trial_id").scenario)
    return frame


def _with_complete_curves(
    trials: pd.DataFrame, epochs: pd.DataFrame, complain: Complain
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Remove finished trials that lack epochs; the epochs of a running one may lag behind its row."""
    there = epochs.groupby("trial_id").size().reindex(trials.trial_id, fill_value=0).to_numpy()
    is_short = ((total_epochs(trials) != there) & ~trials.status.isin(("running", "interrupted"))).astype(bool)
    if not is_short.any():
        return trials, epochs
    names = trials.trial_id[is_short].tolist()
    complain(f"the curves of {plural(len(names), 'finished trial')} are incomplete: {_listed(names)} left out")
    kept = trials[~is_short].reset_index(drop=True)
    return kept, epochs[epochs.trial_id.isin(kept.trial_id)].reset_index(drop=True)


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
