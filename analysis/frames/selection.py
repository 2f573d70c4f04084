"""The selection rule, and the scores of trials by it."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from absgd.errors import UserError, nearest, shown
from absgd.records import (
    METRICS,
    SHOT_METRICS,
    TEST_CHOSEN,
    TEST_SCALARS,
    ParetoRule,
    SearchObjective,
    ShotGroup,
    shot_group,
)
from analysis.frames.typed_frames import KEY

RuleName = Literal["last", "mean_last_k", "chosen"]
DEFAULT_RULE: RuleName = "last"
"""Chosen by measurement: docs/analysis.md, benchmarks/selection_rule.py."""


@dataclasses.dataclass(frozen=True)
class SelectionRule:
    """The epochs of a trial's validation curve that make its score.

    >>> SelectionRule("mean_last_k", 5).title
    'mean of the last 5 epochs'
    """

    name: RuleName = DEFAULT_RULE
    """`last`: the last epoch; `mean_last_k`: the mean of the last k epochs; `chosen`: the epoch best on validation."""
    k: int = 3
    """Number of epochs of `mean_last_k`."""

    def __post_init__(self) -> None:
        rules = get_args(RuleName)
        if self.name not in rules:
            valid = ", ".join(f"`{rule}`" for rule in rules)
            raise UserError(f"expected one of {valid} as selection rule, got {self.name!r}{nearest(self.name, rules)}")
        k: object = self.k  # callers may pass anything
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            raise UserError(f"expected a whole number of at least one epoch for `mean_last_k`, got {shown(self.k)}")

    @property
    def title(self) -> str:
        """The rule in words."""
        return {
            "last": "last epoch",
            "mean_last_k": f"mean of the last {self.k} epochs" if self.k > 1 else "last epoch",
            "chosen": "epoch best on validation",
        }[self.name]

    @property
    def test_title(self) -> str:
        """Epoch of the test metrics, in words."""
        return "epoch best on validation" if self.name == "chosen" else "last epoch"

    @property
    def second_test_short(self) -> str:
        """Epoch of the second test column, short enough for a column header."""
        return "last epoch" if self.name == "chosen" else "best epoch"


def sign_of(metric: object) -> float:
    """Return the factor that makes larger values of a metric better; 1 for an unknown name.

    >>> sign_of("val_accuracy"), sign_of("val_loss")
    (1.0, -1.0)
    """
    return -1.0 if METRICS.get(str(metric)) == "min" else 1.0


def with_scores(trials: pd.DataFrame, epochs: pd.DataFrame, rule: SelectionRule) -> pd.DataFrame:
    """Return `trials` with their scores.

    Args:
        trials: as in `Runs.trials`.
        epochs: as in `Runs.epochs`; scores read it for `mean_last_k` only.
        rule: the selection rule.

    Returns:
        A copy with the columns `score` (the validation metric by the rule; NaN for trials that did not complete, since
        a pruned trial never ranks as a finished one, in place of infinite values,
        and where the second metric of a Pareto search is missing), `rank_score` (the score with
        its sign set so that larger is better; for trials and controls of a Pareto search the number that its rule makes
        of both metrics), `test` (the metric on the test set, at the last epoch or, by the rule
        `chosen`, at the chosen one; NaN if the test set was not read), `test_second` (the metric on the test set at
        the other of these two epochs) and `last_val_loss` (validation loss at the last epoch; breaks ties).
    """
    is_done = trials.status == "completed"
    values = {"last": "metric_last", "chosen": "metric_chosen"}
    score = trials[values[rule.name]] if rule.name in values else _mean_of_last(trials, epochs, rule.k)
    signs = trials.metric.map(sign_of).astype("float64")
    score = _finite(score.astype("float64").where(is_done & trials.metric.notna()))
    test = {
        name: _finite(_test_values(trials, at_chosen).astype("float64").where(is_done))
        for name, at_chosen in (("test", rule.name == "chosen"), ("test_second", rule.name != "chosen"))
    }
    ranked = (score * signs).where(~is_of_pareto_search(trials), _pareto_scores(trials, epochs, rule, score))
    score = score.where(ranked.notna())
    return trials.assign(score=score, rank_score=ranked, **test, last_val_loss=_last_loss(trials, epochs))


def objective_of(trial: pd.Series[Any]) -> SearchObjective | None:
    """Return the two metrics and the rule of a trial of a Pareto search; None for others, and for unknown names."""
    metrics, rules = (str(trial.metric), str(trial.second_metric)), get_args(ParetoRule)
    is_known = metrics[0] != metrics[1] and set(metrics) <= set(METRICS) and trial.pareto_rule in rules
    return SearchObjective(metrics, trial.pareto_rule) if is_known else None


def is_of_pareto_search(trials: pd.DataFrame) -> pd.Series[bool]:
    """Whether a trial is ranked by two metrics; a confirmation compares by the first alone."""
    is_known = trials.second_metric.isin(METRICS) & trials.pareto_rule.isin(get_args(ParetoRule))
    is_known &= trials.metric.isin(METRICS) & (trials.metric != trials.second_metric)
    found: pd.Series[bool] = is_known & trials.phase.isin(("search", "replicate", "control"))
    return found.fillna(False).astype(bool)


def _pareto_scores(
    trials: pd.DataFrame, epochs: pd.DataFrame, rule: SelectionRule, first: pd.Series[float]
) -> pd.Series[float]:
    """Return the scores by the rule of each Pareto search; NaN for other trials.

    Args:
        trials: as for `with_scores`.
        epochs: as for `with_scores`.
        rule: the selection rule, which says the epochs of both metrics.
        first: the first metric by that rule.
    """
    found = pd.Series(float("nan"), index=trials.index)
    own = trials[is_of_pareto_search(trials)]
    if own.empty:
        return found
    if rule.name == "last":
        second = own.second_last
    elif rule.name == "chosen":
        second = _second_at_chosen(own, epochs)
    else:
        second = _mean_of_last(own.assign(metric=own.second_metric), epochs, rule.k)
    for place, values in zip(own.index, zip(first[own.index], second.astype("float64"), strict=True), strict=True):
        objective = objective_of(own.loc[place])
        found.loc[place] = objective.score(values) if objective else float("nan")
    return _finite(found)


def _second_at_chosen(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.Series[float]:
    """Return the second metric at the epoch that is best by the first."""
    wanted = trials[[*KEY, "second_metric"]].assign(epoch=trials.chosen_epoch)
    rows = wanted.merge(epochs, on=[*KEY, "epoch"], how="left")
    values = [row[str(row["second_metric"])] for _, row in rows.iterrows()]
    return pd.Series(values, index=trials.index, dtype="float64")


def _finite(values: pd.Series[float]) -> pd.Series[float]:
    return values.where(np.isfinite(values))


def _last_loss(trials: pd.DataFrame, epochs: pd.DataFrame) -> npt.NDArray[np.float64]:
    last = epochs.loc[epochs.groupby(KEY).epoch.idxmax(), [*KEY, "val_loss"]].set_index(KEY)
    return last.val_loss.reindex(pd.MultiIndex.from_frame(trials[KEY])).to_numpy(dtype=np.float64)


def _mean_of_last(trials: pd.DataFrame, epochs: pd.DataFrame, k: int) -> pd.Series[float]:
    """Return the mean of each trial's metric over its last k epochs; NaN if it is missing in one of them."""
    means = pd.Series(float("nan"), index=trials.index)
    for metric, own in trials.groupby("metric"):
        rows = epochs.merge(own[KEY], on=KEY)
        last = rows.sort_values("epoch").groupby(KEY).tail(k)
        found = last.groupby(KEY)[str(metric)].agg(lambda values: values.mean(skipna=False))
        wanted = pd.MultiIndex.from_frame(own[KEY])
        means.loc[own.index] = found.reindex(wanted).to_numpy()
    return means


def _test_values(trials: pd.DataFrame, at_chosen: bool) -> pd.Series[float]:
    """Return each trial's metric on the test set, at the last epoch or at the one best on validation."""
    prefix = TEST_CHOSEN if at_chosen else "test_"
    values = pd.Series(float("nan"), index=trials.index)
    for metric, own in trials.groupby("metric"):
        name = str(metric).removeprefix("val_")
        if metric in METRICS and f"test_{name}" in TEST_SCALARS:
            values.loc[own.index] = own[prefix + name].astype("float64")
        elif metric in SHOT_METRICS and not at_chosen:
            found = [
                _mean_recall(recall, counts, SHOT_METRICS[str(metric)])
                for recall, counts in zip(own.test_recall, own.class_counts, strict=True)
            ]
            values.loc[own.index] = np.asarray(found, dtype=np.float64)
    return values


def _mean_recall(recall: list[float] | None, counts: list[int] | None, group: ShotGroup) -> float:
    """Return the mean recall of the classes within a range of sizes; NaN if there are none, or sizes are unknown."""
    if not isinstance(recall, list) or not isinstance(counts, list):
        return float("nan")
    found = [
        value for value, size in zip(recall, counts, strict=False) if value is not None and shot_group(size) == group
    ]
    return sum(found) / len(found) if found else float("nan")
