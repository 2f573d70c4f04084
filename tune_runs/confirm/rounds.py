"""The rounds of a confirmation, replayed from the runs that have ended: what is planned, what is found, when it ends.

One seed pair is a round. Its runs are planned in steps, each from the results of earlier steps alone, once all runs
of these have ended: the order in which runs end, kills and resumes change nothing. After the last step of a round the
rivals are compared with the subject, and those about which nothing is left to find out take no further part.

Pure functions: nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

from absgd.comparisons import ClaimRules, PriorVariance, RivalComparison, cannot_win, compare_at_look, prior_variance
from absgd.records import LeftReason
from tune_runs.confirm.contests import Contest, epochs_of, epochs_of_round

Ending = Literal["decided", "worse", "no score", "budget", "max pairs"]
"""Why no further round begins: a finding on every rival; the subject is worse than one of them; it has no score on
two pairs; `confirm.epoch_budget`; `confirm.max_pairs`."""
_MOST_LOST = 1
"""Pairs on which the subject may fail or diverge, and a rival that has no score yet: after more nothing is gained."""


class Outcome(NamedTuple):
    """How a run on a fresh pair ended."""

    score: float | None
    """Its score, larger is better; None: it has none, because it failed or diverged."""
    has_diverged: bool = False


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


class PlannedRun(NamedTuple):
    """A candidate in a round."""

    candidate: str
    round: int
    """From 1."""


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
    """Round -> all candidates that take part in it, those among them that are not planned yet."""
    planned: tuple[PlannedRun, ...]
    """Runs that may start, or have started, in their order."""
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
    state = _Replay(contest, rules, outcome)
    ending: Ending | None = None if contest.rivals else "decided"
    number = 0
    while ending is None:
        ending = state.bound(number + 1)
        if ending is None:
            number += 1
            if not state.trains(number):
                return state.result(number, None)
            ending = state.look(number)
        while ending is None and state.missing(number):
            if not state.catch_up_fits(number):
                ending = "budget"
            elif not state.catches_up(number):
                return state.result(number, None)
            else:
                ending = state.look(number)
    return state.result(number, ending)


def epochs_of_candidates(contest: Contest, rounds: Rounds) -> dict[str, int]:
    """Return the epochs that each candidate trains in its planned runs, unless a snapshot is missing."""
    epochs: Counter[str] = Counter()
    for run in rounds.planned:
        epochs[run.candidate] += epochs_of(contest, run.candidate, rounds.members[run.round])
    return dict(epochs)


class _Replay:
    """A confirmation while it is replayed, round after round."""

    def __init__(self, contest: Contest, rules: RoundRules, outcome: Callable[[str, int], Outcome | None]) -> None:
        self._contest, self._rules, self._outcome = contest, rules, outcome
        self._in_play = list(contest.rivals)
        self._settled: list[str] = []
        """Rivals about which there is a claim, or that cannot win: the others share the level."""
        self._members: dict[int, set[str]] = {}
        self._planned: dict[PlannedRun, None] = {}
        self._looks: list[Look] = []
        self._scores: dict[str, dict[int, float]] = {name: {} for name in (contest.subject, *contest.rivals)}
        self._num_pairs: dict[str, int] = {}
        """Pairs of each rival at the look before."""
        self._has_diverged = False
        """Whether the subject diverged in a round."""
        self._better: set[str] = set()
        """Rivals than which the subject is better."""
        self._num_steps = 0

    def bound(self, number: int) -> Ending | None:
        """Return the bound that a round would exceed; None: it may begin."""
        if number > self._rules.max_pairs:
            return "max pairs"
        return None if self._fits(self._most_epochs_of(number)) else "budget"

    def trains(self, number: int) -> bool:
        """Plan the steps of a round as far as they follow; return whether all of its runs have ended."""
        members = self._members_now()
        self._members[number] = members
        first = self._first_step(members)
        if not self._have_ended(PlannedRun(name, number) for name in self._ordered(first)):
            return False
        second = self._ordered(members - first)
        later = [name for name in second if self._is_trained(name) and not self._waits(name, number)]
        return self._have_ended(PlannedRun(name, number) for name in later)

    def missing(self, number: int) -> list[PlannedRun]:
        """Return the runs of the earliest round up to this one that rivals lack which wait no longer.

        Rounds in which the subject has no score allow no comparison.
        """
        waited = [name for name in self._in_play if name in self._contest.awaited and not self._waits(name, 2)]
        ours = self._scores[self._contest.subject]
        runs = [run for run in self._missing_of(waited, number) if run.round in ours]
        first = min((run.round for run in runs), default=None)
        return [run for run in runs if run.round == first]

    def catch_up_fits(self, number: int) -> bool:
        """Whether the missing runs fit into the epoch budget."""
        return self._fits(len(self.missing(number)) * self._contest.epochs)

    def catches_up(self, number: int) -> bool:
        """Plan the missing runs; return whether all have ended."""
        runs = self.missing(number)
        for name, earlier in runs:
            self._members[earlier].add(name)
        return self._have_ended(runs)

    def look(self, number: int) -> Ending | None:
        """Compare the rivals after a round, or again once some have caught up; return why no further one begins."""
        ended = [self._outcome(self._contest.subject, one) for one in range(1, number + 1)]
        self._has_diverged = any(one is not None and one.has_diverged for one in ended)
        num_lost = sum(one is not None and one.score is None for one in ended)
        found = self._compared(number)
        rivals = [self._judged(one) for one in found]
        self._in_play = [one.comparison.rival for one in rivals if one.left is None]
        self._better |= {one.comparison.rival for one in rivals if one.comparison.finding == "better"}
        while needless := set(filter(self._is_needless, self._in_play)):
            rivals = [one._replace(left="verdict") if one.comparison.rival in needless else one for one in rivals]
            self._in_play = [name for name in self._in_play if name not in needless]
        rivals = [one._replace(is_waiting=self._waits(one.comparison.rival, 2)) for one in rivals]
        self._settled += [one.comparison.rival for one in rivals if one.left in ("decided", "cannot win", "diverged")]
        self._keep(Look(number, tuple(rivals)))
        if any(one.comparison.finding == "worse" for one in rivals):
            return "worse"
        if num_lost > _MOST_LOST:
            return "no score"
        return None if self._in_play else "decided"

    def _compared(self, number: int) -> list[RivalComparison]:
        """Compare all rivals in play; those that wait for the claims of others make none, and leave them the level.

        When they join, the parts of rivals that do not wait shrink, though more may have been spent. The share of the
        level that is never spent makes up for it: with one cheap control and five dear ones the sum of what all may
        spend is the level.
        """
        waiting = [name for name in self._in_play if self._waits(name, 2)]
        rest = [name for name in self._in_play if name not in waiting]
        found: dict[str, RivalComparison] = {}
        for names, others in ((rest, waiting), (waiting, rest)):
            if not names:
                continue
            compared = compare_at_look(
                self._contest.subject,
                self._scores,
                self._contest.rivals,
                self._rules.claims,
                number,
                [*self._settled, *others],
                self._rules.with_need and names == rest,
                self._rules.prior,
                [name for name in names if self._num_compared(name) == self._num_pairs.get(name)],
            )
            found |= {one.rival: one for one in compared if one.rival in names}
        found |= {name: found[name]._replace(finding="undecided") for name in waiting}
        return [found[name] for name in self._in_play]

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
        return Rounds(
            subject=self._contest.subject,
            members={one: frozenset(names) for one, names in self._members.items()},
            planned=tuple(self._planned),
            looks=tuple(looks),
            ending=ending,
            epochs=self._epochs_planned(),
            epochs_later=0 if ending else self._most_epochs_after(number),
            num_steps=self._num_steps,
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
        elif one.rival not in self._contest.deciding and self._cannot_win(one.rival):
            left = "cannot win"
        return RivalLook(one, left, self._num_left_out(one.rival))

    def _has_no_score(self, rival: str) -> bool:
        """Whether a rival failed or diverged in every round, in two of them or more."""
        return not self._scores[rival] and sum(run.candidate == rival for run in self._planned) > _MOST_LOST

    def _is_needless(self, rival: str) -> bool:
        """Whether a rival will not be trained again: one that it waited for has left without being beaten."""
        awaited = self._contest.awaited.get(rival, frozenset())
        return any(name not in self._in_play and name not in self._better for name in awaited)

    def _waits(self, rival: str, number: int) -> bool:
        """Whether a rival is not trained in a round, because claims about others come first."""
        awaited = self._contest.awaited.get(rival, frozenset())
        return number > 1 and any(name in self._in_play for name in awaited)

    def _num_compared(self, rival: str) -> int:
        return len(self._scores[self._contest.subject].keys() & self._scores[rival].keys())

    def _num_left_out(self, rival: str) -> int:
        rounds = [run.round for run in self._planned if run.candidate == rival]
        ours, theirs = self._scores[self._contest.subject], self._scores[rival]
        return sum(number not in ours or number not in theirs for number in rounds)

    def _cannot_win(self, rival: str) -> bool:
        return cannot_win(self._contest.subject, self._scores, rival, self._rules.prior or prior_variance(self._scores))

    def _members_now(self) -> set[str]:
        """Return subject, rivals in play, and trunks that cost less than the first epochs of those that fork."""
        members = {self._contest.subject, *self._in_play}
        forks = self._contest.forks
        for trunk in {forks[name].trunk for name in members if name in forks} - members:
            if epochs_of_round(self._contest, members | {trunk}) <= epochs_of_round(self._contest, members):
                members.add(trunk)
        return members

    def _first_step(self, members: set[str]) -> set[str]:
        """Return the subject, what it must lead before others are trained, and all that fork, with their trunks."""
        forks = {name: fork for name, fork in self._contest.forks.items() if {name, fork.trunk} <= members}
        gates = {gate for rival, gate in self._contest.gates.items() if {rival, gate} <= members}
        return {self._contest.subject, *gates, *forks, *(fork.trunk for fork in forks.values())}

    def _is_trained(self, rival: str) -> bool:
        """Whether a rival is trained now: the subject leads the one before it, where that is confirmed too."""
        gate = self._contest.gates.get(rival)
        if gate not in self._contest.rivals:
            return True
        ours, theirs = self._scores[self._contest.subject], self._scores[gate]
        differences = [ours[number] - theirs[number] for number in ours if number in theirs]
        return bool(differences) and fmean(differences) > 0

    def _have_ended(self, runs: Iterable[PlannedRun]) -> bool:
        """Plan the runs of a step, and return whether all of them have ended."""
        is_whole, before = True, len(self._planned)
        for run in runs:
            self._planned[run] = None
            ended = self._outcome(run.candidate, run.round)
            if ended is None:
                is_whole = False
            elif ended.score is not None:
                self._scores[run.candidate][run.round] = ended.score
        self._num_steps += len(self._planned) > before
        return is_whole

    def _ordered(self, names: Collection[str]) -> list[str]:
        return [name for name in (self._contest.subject, *self._contest.rivals) if name in names]

    def _epochs_planned(self) -> int:
        return sum(epochs_of(self._contest, run.candidate, self._members[run.round]) for run in self._planned)

    def _fits(self, epochs: int) -> bool:
        """Whether so many more epochs stay within the budget."""
        budget = self._rules.epoch_budget
        return budget is None or self._epochs_planned() + epochs <= budget

    def _most_epochs_of(self, number: int) -> int:
        members = self._members_now()
        return epochs_of_round(self._contest, {name for name in members if not self._waits(name, number)})

    def _most_epochs_after(self, number: int) -> int:
        """Return the most epochs of runs that are not planned yet, if no rival leaves early."""
        members = self._members_now()
        later = (self._rules.max_pairs - number) * epochs_of_round(self._contest, members)
        most = len(self._missing_of(self._in_play, number)) * self._contest.epochs + later
        budget = self._rules.epoch_budget
        return most if budget is None else max(0, min(most, budget - self._epochs_planned()))

    def _missing_of(self, names: Iterable[str], last: int) -> list[PlannedRun]:
        """Return the runs of these candidates in rounds up to `last` that are not planned."""
        runs = (PlannedRun(name, number) for name in names for number in range(1, last + 1))
        return [run for run in runs if run not in self._planned]


def _without_better(one: RivalLook) -> RivalLook:
    """Take back that the subject is better: it has diverged, be it in a later round."""
    if one.comparison.finding != "better":
        return one
    return one._replace(comparison=one.comparison._replace(finding="undecided"), left="diverged")
