"""The scores of search trials over seed pairs, and the order in which they are ranked.

On a pair, a trial's gain is its score at the last epoch minus that of the pair's plain control. The score is the metric
with its sign set so that larger is better, in a Pareto search the number that `records.SearchObjective` makes of both
metrics. Pairs differ in how hard their validation images are; gains take that out.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from absgd.counts import plural
from absgd.errors import UserError
from absgd.records import SearchObjective, control_id, winning_order
from tune_runs.recording.trial_record import TrialRecord


class RunOnPair(NamedTuple):
    """A run of a scenario on a seed pair."""

    trial: TrialRecord
    pair: int
    val_loss: float | None
    """Validation loss at the last epoch trained."""


@dataclasses.dataclass(frozen=True)
class PairScore:
    """The score of a completed search trial over the seed pairs on which it was trained."""

    trial: TrialRecord
    """The trial on pair 0."""
    num_pairs: int
    """Pairs on which it has ended, pair 0 included."""
    num_lost: int
    """Pairs on which it diverged or failed."""
    gains: Mapping[int, float]
    """Pair -> gain over the pair's plain control; pairs on which both were completed."""
    compared: tuple[float, ...]
    """Values that rank trials of equally many pairs, by pair, larger is better; NaN where it was lost. They are gains;
    on a pair whose control was not completed, gains over the mean of all trials there: the same order."""
    val_loss: float | None
    """Validation loss at the last epoch of pair 0; None where it is unknown."""

    @property
    def mean_gain(self) -> float | None:
        """Mean gain over the plain control; None where no pair has both."""
        return statistics.fmean(self.gains.values()) if self.gains else None

    @property
    def gain_std(self) -> float | None:
        """Standard deviation of the gains (n - 1); None below two pairs."""
        return statistics.stdev(self.gains.values()) if len(self.gains) > 1 else None


class Ranking:
    """The scores of a scenario's completed search trials, the best first, kept up to date as runs end.

    More pairs come first, since only the better trials of a pair go on to the next; then fewer lost ones, the larger
    mean gain, the lower validation loss, and the earlier trial.

    Args:
        runs: runs of a scenario; those of other phases are ignored, and so are trials that were not completed.
        objective: the metrics of the search.
    """

    def __init__(self, runs: Iterable[RunOnPair], objective: SearchObjective) -> None:
        self._objective = objective
        by_number, self._controls = _by_number(runs, objective)
        values = {
            number: {run.pair: _last(run, objective) for run in own if _is_completed(run)} for number, own in by_number
        }
        self._numbers = set(values)
        baselines = _baselines(values.values(), self._controls)
        self.scores = sorted(
            (_score(own, values[number], self._controls, baselines) for number, own in by_number), key=_rank
        )

    def takes(self, run: RunOnPair) -> bool:
        """Take a run that has just ended; return False where the ranking has to be made anew."""
        trial = run.trial
        if trial.phase != "search":
            return trial.phase != "replicate" and not _is_own_control(run)
        if trial.number in self._numbers or 0 not in self._controls:
            return False
        if _is_completed(run) and trial.number is not None:
            score = _score([run], {0: _last(run, self._objective)}, self._controls, self._controls)
            bisect.insort(self.scores, score, key=_rank)
            self._numbers.add(trial.number)
        return True


def _by_number(
    runs: Iterable[RunOnPair], objective: SearchObjective
) -> tuple[list[tuple[int, list[RunOnPair]]], dict[int, float]]:
    """Return the runs of each completed search trial, pair 0 first, and the score of each pair's control."""
    found: dict[int, list[RunOnPair]] = defaultdict(list)
    controls: dict[int, float] = {}
    for run in runs:
        trial = run.trial
        if trial.phase in ("search", "replicate") and trial.number is not None:
            found[trial.number].append(run)
        elif _is_own_control(run) and _is_completed(run):
            controls[run.pair] = _last(run, objective)
    trials = ((number, sorted(own, key=lambda run: run.pair)) for number, own in found.items())
    return [(number, own) for number, own in trials if own[0].pair == 0 and _is_completed(own[0])], controls


def _is_own_control(run: RunOnPair) -> bool:
    return run.trial.phase == "control" and run.trial.trial_id == control_id(run.trial.scenario, pair=run.pair)


def _baselines(values: Iterable[Mapping[int, float]], controls: Mapping[int, float]) -> dict[int, float]:
    every: dict[int, list[float]] = defaultdict(list)
    for own in values:
        for pair, value in own.items():
            every[pair].append(value)
    return {pair: controls.get(pair, math.fsum(found) / len(found)) for pair, found in every.items()}


def _score(
    own: Sequence[RunOnPair], values: Mapping[int, float], controls: Mapping[int, float], baselines: Mapping[int, float]
) -> PairScore:
    ended = [run for run in own if run.trial.is_finished]
    gains = {pair: value - baselines[pair] for pair, value in values.items()}
    return PairScore(
        trial=own[0].trial,
        num_pairs=len(ended),
        num_lost=sum(not _is_completed(run) for run in ended),
        gains={pair: gain for pair, gain in gains.items() if pair in controls},
        compared=tuple(gains.get(run.pair, math.nan) for run in ended),
        val_loss=own[0].val_loss,
    )


def _rank(score: PairScore) -> tuple[float, ...]:
    assert score.trial.number is not None, "a search trial has a number"
    return -score.num_pairs, *order_over_pairs(score.compared, score.val_loss, score.trial.number)


def order_over_pairs(compared: Sequence[float], val_loss: float | None, number: int) -> tuple[float, ...]:
    """Return the sort key of a trial among those of equally many pairs, the smallest first: `records.winning_order`.

    Args:
        compared: the values that rank it, by pair, larger is better; NaN where it was lost. Means that differ by
            rounding alone are equal.
        val_loss: validation loss at the last epoch of pair 0.
        number: number of the trial.
    """
    known = [gain for gain in compared if not math.isnan(gain)]
    mean = round(statistics.fmean(known), 9) if known else -math.inf
    return winning_order(len(compared) - len(known), mean, val_loss, number)


def _is_completed(run: RunOnPair) -> bool:
    return run.trial.status == "completed"


def _last(run: RunOnPair, objective: SearchObjective) -> float:
    """Return the score of a completed run, larger is better.

    Raises:
        UserError: if its row lacks the value of a metric: the table is damaged.
    """
    values = run.trial.summary.last_values
    if len(values) != len(objective.metrics):
        names = " and ".join(f"`{name}`" for name in objective.metrics)
        raise UserError(
            f"expected {names} of the completed run `{run.trial.trial_id}`, found {plural(len(values), 'value')}"
        )
    return objective.score(values)


def gain_words(score: PairScore) -> str:
    """Return the mean gain with its standard deviation and the number of pairs behind it; `-` where there is none."""
    if score.mean_gain is None:
        return "-"
    spread = "" if score.gain_std is None else f" ± {score.gain_std:.4f}"
    return f"{score.mean_gain:+.4f}{spread} ({plural(len(score.gains), 'pair')})"
