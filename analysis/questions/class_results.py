"""Recall of each class, and the attention weights of its samples."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import KEY, SCENARIO
from analysis.questions.winners import shown_trials

_READ = [*KEY, "scenario", "configuration", "is_control", "order"]


def recall_by_class(runs: RunFrames) -> pd.DataFrame:
    """Return the recall of each class at the last epoch, for each scenario's winner and its controls.

    Returns:
        One row per scenario, configuration and class: `folder`, `scenario`, `configuration`, `is_control`, `class`,
        `class_name` (its number if it has none), `num_train` (training images of the class), `on` (`test` if every
        trial shown has read it, else `validation`), `recall` (fraction, mean over seeds), `std` (over seeds; NaN for
        one), `n`.
    """
    columns = [*SCENARIO, "configuration", "is_control", "class", "class_name", "num_train", "on", "recall", "std", "n"]
    shown = shown_trials(runs)[[*_READ, "class_counts", "test_recall"]]
    has_test = shown.test_recall.notna().groupby([shown[name] for name in SCENARIO]).transform("all")
    recalls = zip(has_test, shown.test_recall, last_recall(runs.epochs, shown), strict=True)
    rows = shown.assign(
        on=has_test.map({True: "test", False: "validation"}),
        recall=pd.Series([test if has else last for has, test, last in recalls], index=shown.index, dtype=object),
    )
    frame = _by_class(rows)
    keys = [*SCENARIO, "order", "configuration", "is_control", "class", "on"]
    found = frame.groupby(keys, sort=False).agg(
        num_train=("num_train", "mean"), std=("recall", "std"), n=("recall", "count"), recall=("recall", "mean")
    )
    ordered = found.reset_index().sort_values([*SCENARIO, "order", "class"], kind="stable", ignore_index=True)
    return _with_names(runs, ordered, "class")[columns]


def weights_by_group(runs: RunFrames) -> pd.DataFrame:
    """Return the mean attention weights of each scenario's winner over its epochs.

    Returns:
        One row per scenario, epoch and group: `folder`, `scenario`, `configuration`, `epoch`, `switch_epoch`, `kind`
        (`class`, or `label`), `group` (the class; `clean` or `changed` labels, if noise changed any), `class_name`
        (missing for labels), `num_train`
        (training images of the class), `weight` (mean of B times the weight: 1 is plain training; mean over seeds),
        `n` (seeds).
    """
    shown = shown_trials(runs)[[*KEY, "scenario", "configuration", "switch_epoch", "class_counts", "order"]]
    rows = (
        shown[shown.order == 0]
        .drop(columns="order")
        .merge(runs.epochs[[*KEY, "epoch", "mean_weight", "mean_weight_clean", "mean_weight_changed"]], on=KEY)
    )
    parts = [_label_weights(rows), _class_weights(rows)]
    frame = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    groups = [*SCENARIO, "configuration", "kind", "group", "epoch"]
    found = frame.groupby(groups, sort=False, dropna=False).agg(
        switch_epoch=("switch_epoch", "first"),
        num_train=("num_train", "mean"),
        weight=("weight", "mean"),
        n=("weight", "count"),
    )
    return _with_names(runs, found.reset_index(), "group")


def _with_names(runs: RunFrames, frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Add `class_name` behind the column that holds the class; missing where that holds something else."""
    keys = zip(frame.folder, frame.scenario, frame[column], strict=True)
    name = cache(runs.class_name)
    names = [name(folder, scenario, int(one)) if str(one).isdecimal() else None for folder, scenario, one in keys]
    place = frame.columns.tolist().index(column) + 1
    frame.insert(place, "class_name", pd.Series(names, index=frame.index, dtype="str"))
    return frame


def last_recall(epochs: pd.DataFrame, trials: pd.DataFrame) -> pd.Series[Any]:
    """Return the recall of each class on validation at the last epoch of each trial, a list; missing without epochs."""
    last = epochs.loc[epochs.groupby(KEY).epoch.idxmax(), [*KEY, "val_recall"]].set_index(KEY)
    found = last.val_recall.reindex(pd.MultiIndex.from_frame(trials[KEY]))
    return pd.Series(found.tolist(), index=trials.index, dtype=object)


def _by_class(rows: pd.DataFrame) -> pd.DataFrame:
    """Expand the lists of `recall` and `class_counts` to one row per class."""
    lists = [own if isinstance(own, list) else [] for own in rows.recall]
    frame = rows[[*_READ, "on"]].loc[rows.index.repeat([len(own) for own in lists])].reset_index(drop=True)
    flat = [np.nan if value is None else value for own in lists for value in own]
    sizes = [
        _size(counts, index) for counts, own in zip(rows.class_counts, lists, strict=True) for index in range(len(own))
    ]
    frame["class"] = [index for own in lists for index in range(len(own))]
    frame["recall"] = np.asarray(flat, dtype=np.float64)
    frame["num_train"] = np.asarray(sizes, dtype=np.float64)
    return frame


def _size(class_counts: Any, index: int) -> Any:
    """Return the number of training images of a class; NaN where it is not recorded."""
    is_known = isinstance(class_counts, list) and index < len(class_counts)
    return class_counts[index] if is_known else np.nan


def _label_weights(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the weights of clean and changed labels of runs with label noise; in others all samples are clean."""
    noisy = rows[rows.mean_weight_changed.notna()]
    parts = [
        noisy.assign(kind="label", group=group, num_train=np.nan, weight=noisy[f"mean_weight_{group}"])
        for group in ("clean", "changed")
    ]
    return pd.concat(parts, ignore_index=True).drop(columns=["mean_weight"])


def _class_weights(rows: pd.DataFrame) -> pd.DataFrame:
    lists = [own if isinstance(own, list) else [] for own in rows.mean_weight]
    frame = rows.loc[rows.index.repeat([len(own) for own in lists])].reset_index(drop=True)
    classes = [index for own in lists for index in range(len(own))]
    flat = [np.nan if value is None else value for own in lists for value in own]
    sizes = [_size(counts, index) for counts, index in zip(frame.class_counts, classes, strict=True)]
    return frame.assign(
        kind="class",
        group=[str(index) for index in classes],
        num_train=np.asarray(sizes, dtype=np.float64),
        weight=np.asarray(flat, dtype=np.float64),
    ).drop(columns=["mean_weight"])
