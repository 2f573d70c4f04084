"""The plan of a search over further seed pairs, as the records say: which trials are trained on which pair.

It is made again from the records whenever a run has ended, so a resumed search plans the same. All runs of a pair end
before the next pair is planned. Trials that are recorded on a pair stay on it: where a search was extended, they
compete with those that join them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tune_runs.recording.pair_scores import PairScore
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.seed_pairs.seed_halving import LEAST_SIZE, going_on


class PairStage(NamedTuple):
    """The trials that are trained on a further seed pair."""

    pair: int
    trials: tuple[TrialRecord, ...]
    """The trials on pair 0, the best so far first."""


class HalvingPlan(NamedTuple):
    """The plan of a scenario's search over further seed pairs, as far as it is known."""

    stages: tuple[PairStage, ...]
    next_pair: int | None
    """Pair that is expected to follow `stages`, before it is known with which trials; None: none is."""
    is_final: bool
    """Whether no further pair follows."""


def halving_plan(
    recorder: Recorder,
    scenario: str,
    sizes: Sequence[int],
    trials_are_done: bool,
    has_ended: Callable[[PairStage], bool],
    expects_first: bool,
) -> HalvingPlan:
    """Plan the further pairs of a scenario by `seed_halving.going_on`.

    Where `going_on` leaves one trial, it is chosen, and no further pair follows, unless others are recorded there,
    which an extended search compares it with. So only the first further pair is expected before the runs of the pair
    before have ended: it follows unless fewer than two trials complete.

    Args:
        recorder: has the records of all trials.
        scenario: name of the scenario.
        sizes: most trials of each further pair, from pair 1 on.
        trials_are_done: whether all trials on pair 0 have ended.
        has_ended: whether all runs of a stage have ended.
        expects_first: whether the first further pair is expected from the start; else once two trials have completed.
    """
    stages: list[PairStage] = []
    is_open = not trials_are_done
    for pair, size in enumerate(sizes, start=1):
        if is_open:
            is_expected = pair == 1 and (expects_first or len(recorder.scores(scenario, pair)) >= LEAST_SIZE)
            return HalvingPlan(tuple(stages), pair if is_expected else None, is_final=False)
        scores = recorder.scores(scenario, pair)
        trials, recorded = _joining(scores, size), _recorded_on(recorder, scenario, pair)
        if not recorded and len(trials) < LEAST_SIZE:
            break
        trials += [trial for trial in recorded if trial not in trials]
        stages.append(PairStage(pair, tuple(trials)))
        is_open = not has_ended(stages[-1])
    return HalvingPlan(tuple(stages), None, is_final=True)


def _joining(scores: Sequence[PairScore], size: int) -> list[TrialRecord]:
    """Return the trials that go on to the next pair, the best first; one where it is chosen."""
    by_number = {score.trial.number: score for score in scores if score.trial.number is not None}
    gains = {number: score.compared for number, score in by_number.items()}
    chosen = going_on(gains, {number: score.val_loss for number, score in by_number.items()}, size)
    return [by_number[number].trial for number in chosen]


def _recorded_on(recorder: Recorder, scenario: str, pair: int) -> list[TrialRecord]:
    """Return the trials on pair 0 that are recorded on a further pair."""
    every = recorder.trials_of(scenario)
    numbers = {trial.number for trial in every if (trial.phase, trial.pair) == ("replicate", pair)}
    return [trial for trial in every if trial.phase == "search" and trial.number in numbers]
