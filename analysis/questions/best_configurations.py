"""The best configuration of each group: chosen on validation, never on test."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from absgd.errors import UserError, nearest, shown
from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import KEY
from analysis.questions.class_coverage import class_coverage
from analysis.questions.winners import best_rows

BY: tuple[str, ...] = ("dataset", "data_title", "imbalance_type", "imbalance_ratio", "noise_type", "noise_rate")
"""Columns by which results are grouped by default: data, imbalance and noise. Scores are comparable within a group."""
_RESULTS = ("rule", "configuration", "basis", "num_pairs", "gain_mean", "gain_std", "n", "num_seeds", "val_mean",
            "val_std", "test_mean", "test_std", "test_at")  # fmt: skip
_FOUND_IN = ("run", "scenario", "trial_id", "folder")
METHOD_COLUMNS = ("loss", "lam", "gamma", "ab_alpha", "switch_epoch")


def best(runs: RunFrames, by: str | Sequence[str]) -> pd.DataFrame:
    """Return the best configuration of each group, chosen on validation alone.

    Args:
        runs: the runs.
        by: columns of `Runs.trials` to group by, or one of them; `metric` is always added.

    Returns:
        One row per group: the columns of `by`, `metric`, `rule` (the selection rule), `configuration`, `basis`
        (`confirmed`, or `one seed`, where the mean is the score of the luckiest of many trials on the first pair of
        seeds), `num_pairs` (of seeds over which the search trained it; 1 for others), `gain_mean`, `gain_std` (over the
        plain control of each of these pairs; NaN for others), `n`, `num_seeds` (planned seeds, of which `n` completed),
        `val_mean`, `val_std`, `test_mean`, `test_std` (in units of the metric; NaN if the test set was not read),
        `test_at` (the epoch of the test columns), `num_classes`, `val_classes`, `test_classes` (classes that accuracies
        are over), the searched settings, `num_completed`, `num_pruned`, `num_diverged` (search trials of the group),
        `run`, `scenario`, `trial_id`, `folder`.

    A group that holds several data sets, imbalances or noise levels gives a warning: its best hides the others.

    Raises:
        UserError: if a column of `by` does not exist, or holds lists.
    """
    groups = [*dict.fromkeys([*_grouping(runs.trials, by), "metric"])]
    _warn_of_mixed_groups(runs.trials, groups)
    table = best_rows(runs.configurations, groups)
    table = table.assign(rule=runs.rule.title, test_at=runs.rule.test_title)
    table = table.drop(columns="num_diverged").merge(_search_counts(runs.trials, groups), on=groups, how="left")
    trials = table[KEY].merge(runs.trials, on=KEY, how="left")
    coverage = class_coverage(runs.epochs, trials)
    table = pd.concat([table.reset_index(drop=True), coverage], axis=1)
    counts = ["num_completed", "num_pruned", "num_diverged"]
    table[counts] = table[counts].fillna(0).astype("int64")
    names = [*groups, *_RESULTS, *coverage.columns, *setting_columns(runs), *counts, *_FOUND_IN]
    return table[[*dict.fromkeys(names)]].reset_index(drop=True)


def _warn_of_mixed_groups(trials: pd.DataFrame, groups: list[str]) -> None:
    """Warn if groups hold trials whose scores cannot be compared, and name the columns that part them."""
    others = [name for name in BY if name not in groups]
    numbers = trials.groupby(groups, dropna=False)[others].nunique(dropna=False) if others else pd.DataFrame()
    mixed = [name for name in others if (numbers[name] > 1).any()]
    if mixed:
        names = ", ".join(f"`{name}`" for name in mixed)
        text = f"groups by {', '.join(groups)} mix runs that differ in {names}: only the best of each group is shown"
        warnings.warn(text, stacklevel=4)


def _grouping(trials: pd.DataFrame, by: object) -> list[str]:
    """Check the columns to group by."""
    names: list[Any] = [by] if isinstance(by, str) or not isinstance(by, Iterable) else list(by)
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"expected names of columns to group by, got {shown(name)} (by)")
        if name not in trials.columns:
            raise UserError(f"no column `{name}` to group by{nearest(name, trials.columns)}")
        if isinstance(trials[name].dtype, pd.ArrowDtype):
            raise UserError(f"expected a column with one value each to group by, got `{name}`, which holds lists (by)")
    return names


def setting_columns(runs: RunFrames) -> list[str]:
    """Return the columns of the method's settings, then those of any other setting that a search varied."""
    return list(dict.fromkeys([*METHOD_COLUMNS, *(parameter.column for parameter in runs.parameters)]))


def _search_counts(trials: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    own = trials[trials.phase == "search"]
    counted = {f"num_{status}": own.status == status for status in ("completed", "pruned", "diverged")}
    sums = own.assign(**counted).groupby(groups, dropna=False, sort=False)[list(counted)].sum()
    counts = sums.astype("int64").reset_index()
    return counts.astype({name: trials[name].dtype for name in groups})  # an all-missing column may change its dtype
