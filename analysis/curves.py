"""Learning curves, and where trials were stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from absgd.errors import UserError, nearest
from absgd.records import DEFAULT_METRIC, METRICS
from analysis.frames import KEY, SCENARIO

if TYPE_CHECKING:
    from analysis.runs import Runs

MEASURED = (*METRICS, "train_loss", "lr", "log_u", "mean_weight_clean", "mean_weight_changed", "kept_fraction")
"""What a curve can be of."""
_OF_TRIAL = ["run", "phase", "candidate", "status", "loss", "switch_epoch", "seed_data", "seed_train"]


def curves(runs: Runs, metric: str | None) -> pd.DataFrame:
    """Learning curves of all trials.

    Args:
        runs: the runs.
        metric: a column of epochs.parquet; None for the metric that decides each trial
            (those without a known one have no curve then).

    Returns:
        One row per trial and epoch, in order: `folder`, `scenario`, `trial_id`, `run`, `phase`, `candidate`, `status`,
        `loss`, `switch_epoch`, `seed_data`, `seed_train`, `metric`, `epoch` (from 0), `stage`, `inherited`, `value` (in
        units of the metric), `age` (epochs since the trial's own switch, 1 for its first; missing before it).

    Raises:
        UserError: if there is no such metric.
    """
    if metric is not None and metric not in MEASURED:
        raise UserError(f"no curve of {metric!r}{nearest(metric, MEASURED)}; there are {', '.join(MEASURED)}")
    wanted = runs.trials[[*SCENARIO, "trial_id", *_OF_TRIAL, "metric"]]
    wanted = wanted.assign(metric=metric or wanted.metric)
    parts = [_with_values(runs, trials, str(own)) for own, trials in wanted.groupby("metric")]
    parts = parts or [_with_values(runs, wanted.head(0), DEFAULT_METRIC)]
    found = pd.concat(parts, ignore_index=True)
    age = found.epoch - found.switch_epoch + 1
    return found.assign(age=age.where(age > 0)).sort_values([*KEY, "epoch"], kind="stable", ignore_index=True)


def _with_values(runs: Runs, trials: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The epochs of some trials, with a metric of theirs as `value`."""
    rows = runs.epochs[[*KEY, "epoch", "stage", "inherited", metric]]
    return trials.merge(rows.rename(columns={metric: "value"}), on=KEY)


def stops(runs: Runs) -> pd.DataFrame:
    """At which rungs early stopping ended trials, as the records tell it.

    Returns:
        One row per scenario and epoch at which search trials were stopped: `folder`, `scenario`, `epochs_done`,
        `num_stopped`.
    """
    pruned = runs.trials[(runs.trials.status == "pruned") & (runs.trials.phase == "search")]
    done = pruned.epochs_trained.fillna(0) + pruned.epochs_inherited.fillna(0)
    counted = pruned.assign(epochs_done=done.astype("int64")).groupby([*SCENARIO, "epochs_done"]).size()
    return counted.rename("num_stopped").reset_index()


def winner_curves(runs: Runs, metric: str | None = None) -> pd.DataFrame:
    """Mean curves of the winner and of its controls.

    Returns:
        One row per scenario, configuration and epoch: `folder`, `scenario`, `configuration`, `is_control`, `metric`,
        `epoch`, `mean`, `std` (over seeds; NaN for one), `n`, `switch_epoch`.
    """

    shown = runs.shown
    rows = curves(runs, metric).drop(columns=["switch_epoch"])
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
