"""Confirmations simulated on normal scores, decided by the rules of real ones: what they train, and what they find.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tune_runs.confirmation.contests import Contest
from tune_runs.confirmation.round_plan import Outcome
from tune_runs.confirmation.rounds import RoundRules, Rounds, epochs_of_candidates, replay

NUM_SIMULATIONS = 40
GAP_STD = 2.0
"""Standard deviation of the true differences between the subject and its rivals, in units of `std`."""
_SEED = 0


@dataclass(frozen=True)
class ExpectedRounds:
    """Means over simulated confirmations."""

    num_rounds: float
    num_steps: float
    """Steps that follow one another; the runs of one may be trained at the same time."""
    num_runs: float
    epochs: float
    epochs_of_subject: float
    """Epochs among `epochs` of the configuration that is confirmed."""


def expected_rounds(contest: Contest, rules: RoundRules, std: float) -> ExpectedRounds:
    """Return what a confirmation trains on average; the same numbers at each call.

    Args:
        contest: the candidates.
        rules: the rules of the rounds; `claims.margin` is in the same units as `std`.
        std: standard deviation of the difference of two candidates on one pair.
    """
    source = random.Random(_SEED)
    found = []
    for _ in range(NUM_SIMULATIONS):
        gaps = {rival: source.gauss(0, GAP_STD) for rival in contest.rivals}
        found.append(simulated(contest, rules, gaps, std, source))
    epochs = [epochs_of_candidates(contest, one) for one in found]
    return ExpectedRounds(
        num_rounds=fmean(len(one.looks) for one in found),
        num_steps=fmean(one.num_steps for one in found),
        num_runs=fmean(len(one.planned) for one in found),
        epochs=fmean(sum(own.values()) for own in epochs),
        epochs_of_subject=fmean(own.get(contest.subject, 0) for own in epochs),
    )


def simulated(
    contest: Contest, rules: RoundRules, gaps: Mapping[str, float], std: float, source: random.Random
) -> Rounds:
    """Return one simulated confirmation.

    Args:
        contest: the candidates.
        rules: the rules of the rounds.
        gaps: rival -> true difference by which the subject is ahead of it, in units of `std`.
        std: standard deviation of the difference of two candidates on one pair.
        source: gives the noise; drawn for every candidate on every pair, so that rules can be compared.
    """
    names: Sequence[str] = (contest.subject, *contest.rivals)
    scores = {
        (name, number): std * (source.gauss(0, 0.5**0.5) - gaps.get(name, 0.0))
        for number in range(1, rules.max_pairs + 1)
        for name in names
    }
    return replay(contest, rules, lambda name, number: Outcome(scores[name, number]))
