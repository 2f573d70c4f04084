"""Configurations with their means over seeds, and the best of them: chosen on validation, never on test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from absgd.errors import UserError, nearest, shown
from analysis.frames import SCENARIO
from analysis.space import searched_parameters

if TYPE_CHECKING:
    from analysis.runs import Runs

Basis = Literal["confirmed", "one seed"]
CANDIDATE_PREFIX = "best-"
ENDED = ("completed", "diverged", "failed")
"""States of a trial that ended and was not stopped before others."""
METHOD_COLUMNS = ("loss", "lam", "gamma", "ab_alpha", "switch_epoch")


def configurations(scored: pd.DataFrame) -> pd.DataFrame:
    """Every configuration with its scores over seeds.

    Args:
        scored: `Runs.scored`.

    Returns:
        One row per configuration of a scenario: `folder`, `run`, `scenario`, `configuration` (name in the confirmation;
        for the search the trial's id, for its control the name of its loss), `basis` (`confirmed`: on fresh seeds;
        `one seed`), `is_control`, `trial_id` (of one of its trials), `metric`, `num_seeds` (trials that are planned: as
        many as any configuration of its basis in the scenario has), `num_ended` (of them), `n` (completed ones, over
        which means are taken), `num_diverged`, `num_failed`, `is_whole` (all completed); `val_mean`,
        `val_std`, `test_mean`, `test_std`, `test_second_mean`, `test_second_std` (at the other epoch), all of the
        metric (std with n - 1, NaN for one seed); `rank_mean` (`val_mean`, turned so that larger is better),
        `loss_mean` (validation loss at the last epoch of completed ones, which breaks ties), and the settings of the
        trial, of which all but the seeds are common to all.
    """
    frame = scored[scored.status.isin(ENDED) | ((scored.phase == "confirm") & scored.candidate.notna())]
    frame = frame.assign(configuration=_names(frame), basis=_basis(frame), is_control=_is_control(frame))
    frame = frame.assign(is_diverged=frame.status == "diverged", is_failed=frame.status == "failed")
    frame = frame.assign(is_ended=frame.status.isin(ENDED), stage_one=_stage_one_of_controls(frame))
    frame = frame.assign(last_val_loss=frame.last_val_loss.where(frame.score.notna()))
    keys = [*SCENARIO, "phase", "configuration", "stage_one"]
    groups = frame.groupby(keys, sort=False)
    numbers = groups.agg(
        num_ended=("is_ended", "sum"),
        num_trials=("trial_id", "size"),
        n=("score", "count"),
        num_diverged=("is_diverged", "sum"),
        num_failed=("is_failed", "sum"),
        val_mean=("score", "mean"),
        val_std=("score", "std"),
        test_mean=("test", "mean"),
        test_std=("test", "std"),
        test_second_mean=("test_second", "mean"),
        test_second_std=("test_second", "std"),
        rank_mean=("rank_score", "mean"),
        loss_mean=("last_val_loss", "mean"),
    )
    first = frame.drop_duplicates(keys).set_index(keys)
    settings = first.drop(
        columns=["score", "rank_score", "test", "test_second", "last_val_loss", "is_diverged", "is_failed", "is_ended"]
    )
    whole = numbers.join(settings).reset_index()
    whole["num_seeds"] = whole.groupby([*SCENARIO, "basis"]).num_trials.transform("max")
    whole["is_whole"] = (whole.n == whole.num_seeds) & (whole.n > 0)
    return whole.drop(columns=["num_trials", "stage_one"])


def _names(frame: pd.DataFrame) -> pd.Series[Any]:
    names = frame.trial_id.where(frame.phase != "control", frame.loss.fillna("control"))
    return names.where(frame.phase != "confirm", frame.candidate)


def _stage_one_of_controls(frame: pd.DataFrame) -> pd.Series[Any]:
    """Controls of a search are one configuration where they have the same stage one, other than their seeds."""
    return frame.stage_one_key.astype(object).where(frame.phase == "control", "").fillna("")


def _basis(frame: pd.DataFrame) -> pd.Series[Any]:
    return (frame.phase == "confirm").map({True: "confirmed", False: "one seed"})


def _is_control(frame: pd.DataFrame) -> pd.Series[bool]:
    is_named = (frame.phase == "confirm") & ~frame.candidate.astype(str).str.startswith(CANDIDATE_PREFIX)
    return is_named | (frame.phase == "control")


def best_rows(configurations: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The row of `configurations` with the best mean on validation in each group.

    Where a group has confirmed configurations, they alone can win, as in `best/` (`tune_runs.confirm.results.winner`):
    those come first that completed on more of their seeds, then the mean decides, then the lower validation loss, then
    the older one.
    """
    able = configurations[~configurations.is_control & (configurations.n > 0)]
    ranked = able.assign(is_confirmed=able.basis == "confirmed", num_lost=able.num_seeds - able.n).sort_values(
        ["is_confirmed", "num_lost", "rank_mean", "loss_mean"], ascending=[False, True, False, True], kind="stable"
    )
    return ranked.drop_duplicates(list(by)).sort_index().drop(columns=["is_confirmed", "num_lost"])


def best(runs: Runs, by: str | Sequence[str]) -> pd.DataFrame:
    """The best configuration of each group, chosen on validation alone.

    Args:
        runs: the runs.
        by: columns of `Runs.trials` that make a group, or one of them; where they hold several metrics, the
            metric does too.

    Returns:
        One row per group: the columns of `by`, `metric`, `rule` (the selection rule), `configuration`, `basis`
        (`confirmed`, or `one seed`: then its mean is that of the luckiest of many trials), `n`, `val_mean`, `val_std`,
        `test_mean`, `test_std` (in units of the metric; NaN where the test set was not read), `test_at` (the epoch that
        the test columns are of), the settings searched, `num_completed`, `num_pruned`, `num_diverged` (search trials
        of the group), `run`, `scenario`, `trial_id`, `folder`.

    Raises:
        UserError: if a column of `by` does not exist, or holds lists.
    """
    groups = [*dict.fromkeys([*_grouping(runs.trials, by), "metric"])]
    table = best_rows(runs.configurations, groups)
    table = table.assign(rule=runs.rule.title, test_at=runs.rule.test_title)
    table = table.drop(columns="num_diverged").merge(_search_counts(runs.trials, groups), on=groups, how="left")
    counts = ["num_completed", "num_pruned", "num_diverged"]
    table[counts] = table[counts].fillna(0).astype("int64")
    front = [*groups, "rule", "configuration", "basis", "n", "val_mean", "val_std", "test_mean", "test_std", "test_at"]
    back = [name for name in ("run", "scenario", "trial_id", "folder") if name not in groups]
    names = [*front, *(name for name in setting_columns(runs) if name not in front), *counts, *back]
    return table[names].reset_index(drop=True)


def _grouping(trials: pd.DataFrame, by: object) -> list[str]:
    """The columns to group by, checked."""
    names: list[Any] = [by] if isinstance(by, str) or not isinstance(by, Iterable) else list(by)
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"expected names of columns to group by, got {shown(name)} (by)")
        if name not in trials.columns:
            raise UserError(f"no column `{name}` to group by{nearest(name, trials.columns)}")
        if isinstance(trials[name].dtype, pd.ArrowDtype):
            raise UserError(f"expected a column with one value each to group by, got `{name}`, which holds lists (by)")
    return names


def setting_columns(runs: Runs) -> list[str]:
    """The columns of the method, then whatever else any of the searches varied."""
    varied = [
        parameter.column
        for folder, own in runs.trials[runs.trials.phase == "search"].groupby("folder", sort=False)
        for parameter in searched_parameters(runs.space_of(str(folder)), own)
    ]
    return list(dict.fromkeys([*METHOD_COLUMNS, *varied]))


def _search_counts(trials: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    own = trials[trials.phase == "search"]
    counted = {f"num_{status}": own.status == status for status in ("completed", "pruned", "diverged")}
    sums = own.assign(**counted).groupby(groups, dropna=False, sort=False)[list(counted)].sum()
    counts = sums.astype("int64").reset_index()
    return counts.astype({name: trials[name].dtype for name in groups})  # a column of gaps alone may change its own
