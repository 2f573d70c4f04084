"""Learning curves, and the epochs at which trials were stopped."""

from __future__ import annotations

import pandas as pd

from absgd.errors import UserError, nearest
from absgd.records import DEFAULT_METRIC, INHERITED, METRICS
from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import KEY, SCENARIO, total_epochs
from analysis.questions.winners import shown_trials

CURVE_COLUMNS = (*METRICS, "train_loss", "lr", "log_u", "mean_weight_clean", "mean_weight_changed", "kept_fraction")
"""Columns of epochs.parquet that a curve can show."""
_OF_TRIAL = ["run", "phase", "candidate", "pair", "status", "loss", "switch_epoch", "seed_data", "seed_train"]


def curves(runs: RunFrames, metric: str | None) -> pd.DataFrame:
    """Return the learning curves of all trials.

    Args:
        runs: the runs.
        metric: one of `CURVE_COLUMNS`; None for each trial's own deciding metric (a trial whose metric is unknown then
            has no curve).

    Returns:
        One row per trial and epoch, in order: `folder`, `scenario`, `trial_id`, `run`, `phase`, `candidate`, `pair`,
        `status`, `loss`, `switch_epoch`, `seed_data`, `seed_train`, `metric`, `epoch` (from 0), `stage`, `inherited`,
        `value` (in units of the metric), `age` (epochs since the trial's own switch, 1 for the first; missing before
        the switch).

    Raises:
        UserError: if there is no such metric.
    """
    if metric is not None and metric not in CURVE_COLUMNS:
        raise UserError(f"no curve of {metric!r}{nearest(metric, CURVE_COLUMNS)}; there are {', '.join(CURVE_COLUMNS)}")
    wanted = runs.trials[[*SCENARIO, "trial_id", *_OF_TRIAL, "metric"]]
    wanted = wanted.assign(metric=metric or wanted.metric)
    parts = [_with_values(runs, trials, str(own)) for own, trials in wanted.groupby("metric")]
    parts = parts or [_with_values(runs, wanted.head(0), DEFAULT_METRIC)]
    found = pd.concat(parts, ignore_index=True)
    age = found.epoch - found.switch_epoch + 1
    return found.assign(age=age.where(age > 0)).sort_values([*KEY, "epoch"], kind="stable", ignore_index=True)


def own_curves(runs: RunFrames) -> pd.DataFrame:
    """Return `curves` of each trial's own deciding metric."""
    return curves(runs, None)


def _with_values(runs: RunFrames, trials: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the epochs of some trials, with one metric as `value`."""
    rows = runs.epochs[[*KEY, "epoch", "stage", INHERITED, metric]]
    return trials.merge(rows.rename(columns={metric: "value"}), on=KEY)


def stops(runs: RunFrames) -> pd.DataFrame:
    """Return the epochs at which early stopping ended trials, from their records.

    Returns:
        One row per scenario and epoch at which search trials were stopped: `folder`, `scenario`, `epochs_done`,
        `num_stopped`.
    """
    pruned = runs.trials[(runs.trials.status == "pruned") & (runs.trials.phase == "search")]
    counted = pruned.assign(epochs_done=total_epochs(pruned).astype("int64")).groupby([*SCENARIO, "epochs_done"]).size()
    return counted.rename("num_stopped").reset_index()


def winner_curves(runs: RunFrames) -> pd.DataFrame:
    """Return the mean curves of each scenario's winner and its controls, in each trial's own metric.

    Returns:
        One row per scenario, configuration and epoch: `folder`, `scenario`, `configuration`, `is_control`, `metric`,
        `epoch`, `mean`, `std` (over seeds; NaN for one), `n`, `switch_epoch`.
    """
    rows, shown = runs.cut(own_curves).drop(columns=["switch_epoch"]), shown_trials(runs)
    keys = [*SCENARIO, "configuration", "is_control", "metric", "epoch"]
    joined = rows.merge(shown[[*KEY, "configuration", "is_control", "switch_epoch", "order"]], on=KEY)
    found = joined.groupby(keys, sort=False).agg(
        mean=("value", "mean"),
        std=("value", "std"),
        n=("value", "count"),
        switch_epoch=("switch_epoch", "first"),
        order=("order", "first"),
    )
    ordered = found.reset_index().sort_values([*SCENARIO, "order", "epoch"], kind="stable", ignore_index=True)
    return ordered.drop(columns="order")
