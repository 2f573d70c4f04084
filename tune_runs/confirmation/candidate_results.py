"""Results of a confirmation in numbers: mean and deviation of each candidate over its seeds, and the winner."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from absgd.records import METRICS, is_best, test_metric_of, winning_order
from tune_runs.recording.trial_record import TrialRecord


class MeanAndStd(NamedTuple):
    """Mean and standard deviation over the seeds of a candidate."""

    mean: float
    std: float | None
    """Standard deviation of the sample (n - 1); None for one value."""

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" ± {self.std:.4f}" if self.std is not None else "")


class CandidateResult(NamedTuple):
    """The result of a candidate over its seeds; all numbers come from completed runs."""

    name: str
    num_completed: int
    num_runs: int
    """Number of runs, with those that failed or diverged."""
    validation: MeanAndStd | None
    """The metric of the search at the last epoch; None: no run has one."""
    val_loss: float | None
    """Mean validation loss at the last epoch."""
    test: MeanAndStd | None
    """The test metric that corresponds to the metric of the search, after the last epoch."""
    recall: Sequence[float | None] = ()
    """Recall of each class on the test set in one of the runs; None where a class has no test image."""


def candidate_results(
    trials: Sequence[TrialRecord], last_losses: Mapping[str, float], names: Sequence[str], metric: str
) -> list[CandidateResult]:
    """Return the result of each candidate.

    Args:
        trials: records of the scenario's confirmation.
        last_losses: trial id -> validation loss at its last epoch.
        names: names of the candidates, in the order of the results.
        metric: the metric of the search.
    """
    test = test_metric_of(metric)
    found = []
    for name in names:
        own = [trial for trial in trials if trial.candidate == name]
        done = [trial for trial in own if trial.status == "completed"]
        losses = [last_losses[trial.trial_id] for trial in done]
        found.append(
            CandidateResult(
                name=name,
                num_completed=len(done),
                num_runs=len(own),
                validation=_mean_and_std(trial.summary.metric_last for trial in done),
                val_loss=statistics.fmean(losses) if losses else None,
                test=_mean_and_std(trial.test.get(test) for trial in done),
                recall=next((trial.test["test_recall"] for trial in done if trial.test.get("test_recall")), ()),
            )
        )
    return found


def winner(results: Sequence[CandidateResult], metric: str) -> CandidateResult | None:
    """Return the winner by `absgd.records.winning_order`; controls cannot win, and test columns are not read."""
    able = [one for one in results if is_best(one.name) and one.validation is not None]
    most = max((one.num_completed for one in able), default=0)

    def order(place: int) -> tuple[float, ...]:
        one = able[place]
        assert one.validation is not None
        gain = one.validation.mean if METRICS[metric] == "max" else -one.validation.mean
        return winning_order(most - one.num_completed, gain, one.val_loss, place)

    return able[min(range(len(able)), key=order)] if able else None


def _mean_and_std(found: Iterable[float | None]) -> MeanAndStd | None:
    values = [value for value in found if value is not None]
    if not values:
        return None
    return MeanAndStd(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
