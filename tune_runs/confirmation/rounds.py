"""The rounds of a confirmation, replayed from the runs that have ended: what is planned, what is found, when it ends.

One seed pair is a round. Its runs are planned in steps, the second once the runs whose scores decide it have ended:
the order in which runs end, kills and resumes change nothing. After the last step of a round the
rivals are compared with the subject, and those about which nothing is left to find out take no further part.

Pure functions: nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from absgd.comparisons import ClaimRules, PriorVariance, RivalComparison, cannot_win, compare_at_look, prior_variance
from absgd.records import LeftReason
from tune_runs.confirmation.contests import Contest, epochs_of
from tune_runs.confirmation.round_plan import Outcome, PlannedRun, RoundPlan

Ending = Literal["decided", "worse", "no score", "budget", "max pairs"]
"""Why no further round begins: a finding on every rival; the subject is worse than one of them; it has no score on
two pairs; `confirm.epoch_budget`; `confirm.max_pairs`."""
_MOST_LOST = 1
"""Pairs on which the subject may fail or diverge, and a rival that has no score yet: after more nothing is gained."""


@dataclass(frozen=True)
class RoundRules:
    """The bounds of a confirmation, and the rules of its claims."""

    claims: ClaimRules
    max_pairs: int
    epoch_budget: int | None = None
    prior: PriorVariance | None = None
    """Spread of paired differences on the pairs of the search; None: unknown."""
    with_need: bool = True
    """Whether the pairs that a claim would take are worked out, too."""


class RivalLook(NamedTuple):
    """A rival after a round."""

    comparison: RivalComparison
    left: LeftReason | None
    """Why it takes no further part; None: it does."""
    num_left_out: int = 0
    """Rounds in which it or the subject ended without a score."""
    is_waiting: bool = False
    """Whether it is not trained further before there are claims about others."""


@dataclass(frozen=True)
class Look:
    """The rivals in play after a round."""

    round: int
    rivals: tuple[RivalLook, ...]


@dataclass(frozen=True)
class Rounds:
    """A confirmation as far as the ended runs take it."""

    subject: str
    members: Mapping[int, frozenset[str]]
    """Round -> all candidates that take part in it, whether or not they are planned yet."""
    planned: tuple[PlannedRun, ...]
    """Runs that may start, or have started, in their order."""
    early: PlannedRun | None
    """The last of them, where it belongs to a round that has not begun."""
    looks: tuple[Look, ...]
    ending: Ending | None
    """Why no further round begins; None: runs that are planned have not ended."""
    epochs: int
    """Epochs of the planned runs, unless a snapshot is missing."""
    epochs_later: int
    """Most epochs of runs that may be planned later."""
    num_steps: int
    """Steps so far; the runs of one may be trained at the same time."""

    def last(self) -> dict[str, RivalLook]:
        """Return the last look at each rival."""
        return {one.comparison.rival: one for look in self.looks for one in look.rivals}


def replay(contest: Contest, rules: RoundRules, outcome: Callable[[str, int], Outcome | None]) -> Rounds:
    """Return the rounds that follow from the runs that have ended.

    Args:
        contest: the candidates.
        rules: the bounds and the rules of claims.
        outcome: gives how a candidate ended in a round; None: it has not.
    """
    plan = RoundPlan(contest, rules.epoch_budget, outcome)
    state = _Looks(contest, rules, plan)
    ending: Ending | None = None if contest.rivals else "decided"
    number = 0
    while ending is None:
        missing = plan.missing(number)
        ending = state.bound(number, missing)
        if ending is None:
            number += not missing
            if not (plan.catches_up(missing) if missing else plan.trains(number)):
                if number == 1:
                    plan.begin_second_round(rules.max_pairs)
                break
            ending = state.look(number)
    return state.result(number, ending)


def epochs_of_candidates(contest: Contest, rounds: Rounds) -> dict[str, int]:
    """Return the epochs that each candidate trains in its planned runs, unless a snapshot is missing."""
    epochs: Counter[str] = Counter()
    for run in rounds.planned:
        epochs[run.candidate] += epochs_of(contest, run.candidate, rounds.members[run.round])
    return dict(epochs)


class _Looks:
    """The looks of a confirmation while it is replayed."""

    def __init__(self, contest: Contest, rules: RoundRules, plan: RoundPlan) -> None:
        self._contest, self._rules, self._plan = contest, rules, plan
        self._settled: list[str] = []
        """Rivals about which there is a claim, or that cannot win: the others share the level."""
        self._looks: list[Look] = []
        self._num_pairs: dict[str, int] = {}
        """Pairs of each rival at the look before."""
        self._has_diverged = False
        """Whether the subject diverged in a round."""
        self._better: set[str] = set()
        """Rivals than which the subject is better."""

    def bound(self, number: int, missing: Collection[PlannedRun]) -> Ending | None:
        """Return the bound that missing runs, or without any the next round, would exceed; None: they may begin."""
        if missing:
            return None if self._plan.runs_fit(missing) else "budget"
        if number == self._rules.max_pairs:
            return "max pairs"
        return None if self._plan.round_fits(number + 1) else "budget"

    def look(self, number: int) -> Ending | None:
        """Compare the rivals after a round, or again once some have caught up; return why no further one begins."""
        ended = [self._plan.outcome(self._contest.subject, one) for one in range(1, number + 1)]
        self._has_diverged = any(one is not None and one.has_diverged for one in ended)
        num_lost = sum(one is not None and one.score is None for one in ended)
        found = self._compared(number)
        rivals = [self._judged(one) for one in found]
        self._plan.in_play = [one.comparison.rival for one in rivals if one.left is None]
        self._better |= {one.comparison.rival for one in rivals if one.comparison.finding == "better"}
        while needless := set(filter(self._is_needless, self._plan.in_play)):
            rivals = [one._replace(left="verdict") if one.comparison.rival in needless else one for one in rivals]
            self._plan.in_play = [name for name in self._plan.in_play if name not in needless]
        rivals = [one._replace(is_waiting=self._plan.waits(one.comparison.rival)) for one in rivals]
        self._settled += [one.comparison.rival for one in rivals if one.left in ("decided", "cannot win", "diverged")]
        self._keep(Look(number, tuple(rivals)))
        if any(one.comparison.finding == "worse" for one in rivals):
            return "worse"
        if num_lost > _MOST_LOST:
            return "no score"
        return None if self._plan.in_play else "decided"

    def _compared(self, number: int) -> list[RivalComparison]:
        """Compare all rivals in play; those that wait for the claims of others make none, and leave them the level.

        When they join, the parts of rivals that do not wait shrink, though more may have been spent. The share of the
        level that is never spent makes up for it: with one cheap control and five dear ones the sum of what all may
        spend is the level.
        """
        waiting = [name for name in self._plan.in_play if self._plan.waits(name)]
        rest = [name for name in self._plan.in_play if name not in waiting]
        found: dict[str, RivalComparison] = {}
        for names, others in ((rest, waiting), (waiting, rest)):
            if not names:
                continue
            compared = compare_at_look(
                self._contest.subject,
                self._plan.scores,
                self._contest.rivals,
                self._rules.claims,
                number,
                [*self._settled, *others],
                self._rules.with_need,
                self._rules.prior,
                [name for name in names if name in waiting or self._num_compared(name) == self._num_pairs.get(name)],
            )
            found |= {one.rival: one for one in compared}
        return [found[name] for name in self._plan.in_play]

    def _keep(self, look: Look) -> None:
        """Keep a look; a second one after the same round replaces the rivals that were still in play."""
        if self._looks and self._looks[-1].round == look.round:
            again = {one.comparison.rival: one for one in look.rivals}
            first = self._looks.pop().rivals
            look = Look(look.round, tuple(again.get(one.comparison.rival, one) for one in first))
        self._looks.append(look)

    def result(self, number: int, ending: Ending | None) -> Rounds:
        """Return the replayed rounds; rivals that were in play at the end say in the last look why they leave."""
        looks = self._looks
        if looks and ending is not None:
            *looks, last = looks
            reason: LeftReason = ending if ending in ("budget", "max pairs") else "verdict"
            rivals = tuple(one if one.left else one._replace(left=reason) for one in last.rivals)
            looks = [*looks, Look(last.round, rivals)]
        if self._has_diverged:
            looks = [Look(look.round, tuple(map(_without_better, look.rivals))) for look in looks]
        early = self._plan.early
        early_epochs = self._contest.epochs if early else 0
        return Rounds(
            subject=self._contest.subject,
            members={one: frozenset(names) for one, names in self._plan.members.items()},
            planned=(*self._plan.planned, *([early] if early else [])),
            early=early,
            looks=tuple(looks),
            ending=ending,
            epochs=self._plan.epochs() + early_epochs,
            epochs_later=0 if ending else self._plan.most_epochs_later(number, self._rules.max_pairs) - early_epochs,
            num_steps=self._plan.num_steps,
        )

    def _judged(self, one: RivalComparison) -> RivalLook:
        self._num_pairs[one.rival] = one.n
        left: LeftReason | None = None
        if one.finding == "better" and self._has_diverged:
            one, left = one._replace(finding="undecided"), "diverged"
        elif one.finding != "undecided":
            left = "decided"
        elif self._has_no_score(one.rival):
            left = "no score"
        elif one.rival not in self._contest.deciding | self._contest.tuned and self._cannot_win(one.rival):
            left = "cannot win"
        return RivalLook(one, left, self._num_left_out(one.rival))

    def _has_no_score(self, rival: str) -> bool:
        """Whether a rival failed or diverged in every round, in two of them or more."""
        return not self._plan.scores[rival] and len(self._plan.rounds_of(rival)) > _MOST_LOST

    def _is_needless(self, rival: str) -> bool:
        """Whether a rival will not be trained again: one that it waited for has left without being beaten."""
        if self._plan.tuned_and_ahead(rival):
            return False
        awaited = self._contest.awaited.get(rival, frozenset())
        return any(name not in self._plan.in_play and name not in self._better for name in awaited)

    def _num_compared(self, rival: str) -> int:
        return len(self._plan.scores[self._contest.subject].keys() & self._plan.scores[rival].keys())

    def _num_left_out(self, rival: str) -> int:
        ours, theirs = self._plan.scores[self._contest.subject], self._plan.scores[rival]
        return sum(number not in ours or number not in theirs for number in self._plan.rounds_of(rival))

    def _cannot_win(self, rival: str) -> bool:
        return cannot_win(
            self._contest.subject, self._plan.scores, rival, self._rules.prior or prior_variance(self._plan.scores)
        )


def _without_better(one: RivalLook) -> RivalLook:
    """Take back that the subject is better: it has diverged, perhaps in a later round."""
    if one.comparison.finding != "better":
        return one
    return one._replace(comparison=one.comparison._replace(finding="undecided"), left="diverged")
