"""Simulated confirmations of many scenarios at once, decided by the rules of `absgd.comparisons`.

Rivals are trained in the order of `tune_runs.confirmation.rounds`, and a rival's place tells its kind; that module
decides one confirmation at a time, which is too slow for error rates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from absgd.comparisons.claim_rules import ClaimRules
from absgd.comparisons.contrasts import contrasts, with_earlier_spread
from absgd.comparisons.look_claims import FINDINGS, claims_at_look
from absgd.comparisons.rivals_in_play import is_far_behind

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

BETTER, WORSE, EQUIVALENT = (FINDINGS.index(name) for name in ("better", "worse", "equivalent"))
DECIDING = (0, 1)
"""Plain training, and the same at the raised rate, which waits for it: rivals that stay although they cannot win."""
FORK = 2
"""A rival that forks from plain training and waits for none; those behind it wait for both that decide."""


class Spread(NamedTuple):
    """The spread of paired differences, as the searches of S scenarios have estimated it."""

    variance_S: Values
    df_S: Values

    def of(self, at: Integers) -> Spread:
        """Return the spread of some of the scenarios."""
        return Spread(self.variance_S[at], self.df_S[at])


class Outcome(NamedTuple):
    """Claims in S simulated scenarios."""

    finding_SR: Integers
    look_SR: Integers
    """Number of the pair after which the claim was made."""
    pairs_SR: Integers
    """Pairs on which the rival was trained."""


def confirm(scores_SCP: Values, spread: Spread, rules: ClaimRules, max_pairs: int) -> Outcome:
    """Run the confirmations of S scenarios, pair by pair.

    Args:
        scores_SCP: scores on the pairs, the subject's first; NaN: the run diverged.
        spread: that of the searches.
        rules: margin and level.
        max_pairs: most pairs.
    """
    state = _Confirmations(scores_SCP, spread, rules)
    for pair in range(max_pairs):
        state.train(state.in_play_SR & (~state.waits() | (pair == 0)), pair)
        state.look(np.flatnonzero(state.in_play_SR.any(axis=1)), pair)
        for _ in range(2 * pair + 2):  # a rival that has waited lacks one pair less each time
            lacking_SR = state.in_play_SR & ~state.waits() & (state.pairs_SR <= pair)
            if not lacking_SR.any():
                break
            state.train(lacking_SR, None)
            state.look(np.flatnonzero(lacking_SR.any(axis=1)), pair)
    return Outcome(state.finding_SR, state.look_SR, state.pairs_SR)


def are_wrong(finding_SR: Integers, true_R: Values, margin: float) -> Flags:
    """Return which claims are wrong."""
    is_wrong_SR: Flags = (
        ((finding_SR == BETTER) & (true_R <= 0))
        | ((finding_SR == WORSE) & (true_R >= 0))
        | ((finding_SR == EQUIVALENT) & (np.abs(true_R) >= margin))
    )
    return is_wrong_SR


class _Confirmations:
    def __init__(self, scores_SCP: Values, spread: Spread, rules: ClaimRules) -> None:
        scenarios, candidates, _ = scores_SCP.shape
        shape = scenarios, candidates - 1
        self._scores_SCP, self._spread, self._rules = scores_SCP, spread, rules
        self._seen_SCP = np.full_like(scores_SCP, np.nan)
        self.finding_SR, self.look_SR, self.pairs_SR = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        self.in_play_SR = np.ones(shape, dtype=np.bool_)
        self._settled_SR = np.zeros(shape, dtype=np.bool_)
        """Rivals about which there is a claim, or that cannot win."""
        self._compared_SR = np.zeros(shape, dtype=np.int64)
        """Pairs of each rival at the look before."""

    def waits(self) -> Flags:
        """Return which rivals wait for claims about others."""
        waits_SR = np.zeros_like(self.in_play_SR)
        waits_SR[:, 1:2] = self.in_play_SR[:, :1]
        waits_SR[:, FORK + 1 :] = self.in_play_SR[:, DECIDING].any(axis=1, keepdims=True)
        return waits_SR

    def train(self, trained_SR: Flags, pair: int | None) -> None:
        """Train rivals on a pair; None: each on the first that it lacks."""
        scenario_N, rival_N = np.nonzero(trained_SR)
        pair_N = self.pairs_SR[scenario_N, rival_N] if pair is None else np.full(len(scenario_N), pair)
        for candidate_N in (rival_N + 1, np.zeros_like(rival_N)):
            place = scenario_N, candidate_N, pair_N
            self._seen_SCP[place] = self._scores_SCP[place]
        self.pairs_SR += trained_SR

    def look(self, at: Integers, pair: int) -> None:
        """Compare the rivals of some scenarios, and let those leave about which nothing is left to find out."""
        own = contrasts(self._seen_SCP[at, :, : pair + 1])
        found = with_earlier_spread(own, *self._spread.of(at))
        in_play_SR, waits_SR = self.in_play_SR[at], self.waits()[at]
        open_SR = ~self._settled_SR[at] & in_play_SR & ~waits_SR
        is_old_SR = found.n_SR == self._compared_SR[at]
        claimed_SR = np.where(open_SR, claims_at_look(found, open_SR, self._rules, pair + 1, is_old_SR).finding_SR, 0)
        self._compared_SR[at] = np.where(waits_SR, self._compared_SR[at], found.n_SR)
        self.finding_SR[at] += claimed_SR
        self.look_SR[at] = np.where(claimed_SR > 0, pair + 1, self.look_SR[at])
        is_far_SR = is_far_behind(found.differences_SRP, *self._spread.of(at)) & in_play_SR & (claimed_SR == 0)
        is_far_SR[:, DECIDING] = False
        in_play_SR &= (claimed_SR == 0) & ~is_far_SR
        self._settled_SR[at] |= (claimed_SR > 0) | is_far_SR
        self.in_play_SR[at] = in_play_SR & ~self._in_vain(at, in_play_SR)

    def _in_vain(self, at: Integers, in_play_SR: Flags) -> Flags:
        """Return which rivals are not trained any more: the subject is worse, or did not beat what they waited for."""
        finding_SR = self.finding_SR[at]
        in_vain_SR = np.broadcast_to((finding_SR == WORSE).any(axis=1, keepdims=True), in_play_SR.shape).copy()
        unbeaten_SR = ~in_play_SR & (finding_SR != BETTER)
        in_vain_SR[:, 1:2] |= unbeaten_SR[:, :1]
        in_vain_SR[:, FORK + 1 :] |= unbeaten_SR[:, DECIDING].any(axis=1, keepdims=True)
        return np.asarray(in_vain_SR)
