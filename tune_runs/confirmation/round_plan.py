"""The runs of a confirmation: planned step by step, from the scores of earlier steps and the rivals in play.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from statistics import fmean
from typing import NamedTuple

from tune_runs.confirmation.contests import Contest, epochs_of, epochs_of_round


class Outcome(NamedTuple):
    """How a run on a fresh pair ended."""

    score: float | None
    """Its score, larger is better; None: it has none, because it failed or diverged."""
    has_diverged: bool = False


class PlannedRun(NamedTuple):
    """A candidate in a round."""

    candidate: str
    round: int
    """From 1."""


class RoundPlan:
    """The runs planned so far; looks at the scores take rivals out of play.

    Args:
        contest: the candidates.
        epoch_budget: epochs that all runs together may train; None: any number.
        outcome: gives how a candidate ended in a round; None: it has not.
    """

    def __init__(
        self, contest: Contest, epoch_budget: int | None, outcome: Callable[[str, int], Outcome | None]
    ) -> None:
        self._contest, self._epoch_budget, self.outcome = contest, epoch_budget, outcome
        self.in_play = list(contest.rivals)
        """Rivals that are trained further, or wait for it."""
        self.scores: dict[str, dict[int, float]] = {name: {} for name in (contest.subject, *contest.rivals)}
        """Candidate -> round -> score, of the planned runs that have one."""
        self.members: dict[int, set[str]] = {}
        """Round -> all candidates that take part in it, whether or not they are planned yet."""
        self.planned: dict[PlannedRun, None] = {}
        """Runs that may start, or have started, in their order."""
        self.early: PlannedRun | None = None
        """A run of the second round that may start while the first one trains; its score counts once that begins."""
        self.num_steps = 0
        """Steps so far; the runs of one may be trained at the same time."""

    def trains(self, number: int) -> bool:
        """Plan the steps of a round as far as they follow; return whether all of its runs have ended."""
        members = self._members_now()
        self.members[number] = members
        first = self._first_step(members)
        has_first_ended = self._have_ended(PlannedRun(name, number) for name in self._ordered(first))
        if any(self.outcome(name, number) is None for name in self._awaited_by_second_step(members)):
            return False
        second = self._ordered(self._trained_in(number, members) - first)
        has_second_ended = self._have_ended(PlannedRun(name, number) for name in second if self._is_trained(name))
        return has_first_ended and has_second_ended

    def begin_second_round(self, max_pairs: int) -> None:
        """Plan the trunk of the second round while the first one trains, where that round is certain to follow.

        The other runs of a round wait for its trunk, which would leave all processors but one idle.
        """
        trunk = self._contest.certain_trunk
        if max_pairs == 1 or trunk is None:
            return
        members = self._members_now()
        if self._epoch_budget is None or 2 * epochs_of_round(self._contest, members) <= self._epoch_budget:
            self.early, self.members[2] = PlannedRun(trunk, 2), members

    def missing(self, number: int) -> list[PlannedRun]:
        """Return the runs that rivals which wait no longer lack in rounds up to this one: those of the earliest round.

        Rounds in which the subject has no score allow no comparison.
        """
        waited = [name for name in self.in_play if name in self._contest.awaited and not self.waits(name)]
        ours = self.scores[self._contest.subject]
        runs = [run for run in self._missing_of(waited, number) if run.round in ours]
        first = min((run.round for run in runs), default=None)
        return [run for run in runs if run.round == first]

    def catches_up(self, runs: Iterable[PlannedRun]) -> bool:
        """Plan missing runs; return whether all have ended."""
        for name, earlier in runs:
            self.members[earlier].add(name)
        return self._have_ended(runs)

    def waits(self, rival: str) -> bool:
        """Whether a rival is not trained after the first round, because claims about others come first.

        A tuned control that is ahead of the subject does not wait.
        """
        awaited = self._contest.awaited.get(rival, ())
        return any(name in self.in_play for name in awaited) and not self.tuned_and_ahead(rival)

    def tuned_and_ahead(self, rival: str) -> bool:
        """Whether a rival whose settings were searched too is ahead of the subject."""
        return rival in self._contest.tuned and self._lead(rival) < 0

    def rounds_of(self, candidate: str) -> list[int]:
        """Return the rounds in which a candidate is planned."""
        return [run.round for run in self.planned if run.candidate == candidate]

    def epochs(self) -> int:
        """Return the epochs of the planned runs, unless a snapshot is missing."""
        return sum(epochs_of(self._contest, run.candidate, self.members[run.round]) for run in self.planned)

    def round_fits(self, number: int) -> bool:
        """Whether a round cannot exceed the epoch budget."""
        return self._fit(epochs_of_round(self._contest, self._trained_in(number, self._members_now())))

    def runs_fit(self, runs: Collection[PlannedRun]) -> bool:
        """Whether missing runs fit into the epoch budget."""
        return self._fit(len(runs) * self._contest.epochs)

    def most_epochs_later(self, number: int, max_pairs: int) -> int:
        """Return the most epochs of runs that are not planned after a round, if no rival leaves early."""
        later = (max_pairs - number) * epochs_of_round(self._contest, self._members_now())
        most = len(self._missing_of(self.in_play, number)) * self._contest.epochs + later
        return most if self._epoch_budget is None else max(0, min(most, self._epoch_budget - self.epochs()))

    def _members_now(self) -> set[str]:
        """Return subject, rivals in play, and trunks that cost less than the first epochs of those that fork."""
        members = {self._contest.subject, *self.in_play}
        forks = self._contest.forks
        for trunk in {forks[name].trunk for name in members if name in forks} - members:
            if epochs_of_round(self._contest, members | {trunk}) <= epochs_of_round(self._contest, members):
                members.add(trunk)
        return members

    def _trained_in(self, number: int, members: set[str]) -> set[str]:
        """Return those that do not wait in a round."""
        return members if number == 1 else {name for name in members if not self.waits(name)}

    def _first_step(self, members: set[str]) -> set[str]:
        """Return the subject, what it must lead before others are trained, and all that fork, with their trunks."""
        forks = {name: fork for name, fork in self._contest.forks.items() if {name, fork.trunk} <= members}
        return {*self._awaited_by_second_step(members), *forks, *(fork.trunk for fork in forks.values())}

    def _awaited_by_second_step(self, members: set[str]) -> set[str]:
        """Return the runs of the first step whose scores say what the second one trains: see `_is_trained`."""
        gates = {gate for rival, gate in self._contest.gates.items() if {rival, gate} <= members}
        return {self._contest.subject, *gates}

    def _is_trained(self, rival: str) -> bool:
        """Whether a rival is trained now: the subject leads the one before it, where that is confirmed too."""
        gate = self._contest.gates.get(rival)
        if gate not in self._contest.rivals:
            return True
        return self._lead(gate) > 0

    def _lead(self, rival: str) -> float:
        """Return how far the subject is ahead of a rival over common rounds; 0 without any."""
        ours, theirs = self.scores[self._contest.subject], self.scores[rival]
        differences = [ours[number] - theirs[number] for number in ours if number in theirs]
        return fmean(differences) if differences else 0.0

    def _have_ended(self, runs: Iterable[PlannedRun]) -> bool:
        """Plan the runs of a step, and return whether all of them have ended."""
        is_whole, before = True, len(self.planned)
        for run in runs:
            self.planned[run] = None
            ended = self.outcome(run.candidate, run.round)
            if ended is None:
                is_whole = False
            elif ended.score is not None:
                self.scores[run.candidate][run.round] = ended.score
        self.num_steps += len(self.planned) > before
        return is_whole

    def _ordered(self, names: Collection[str]) -> list[str]:
        return [name for name in (self._contest.subject, *self._contest.rivals) if name in names]

    def _fit(self, epochs: int) -> bool:
        """Whether so many more epochs stay within the budget."""
        return self._epoch_budget is None or self.epochs() + epochs <= self._epoch_budget

    def _missing_of(self, names: Iterable[str], last: int) -> list[PlannedRun]:
        """Return the runs of these candidates in rounds up to `last` that are not planned."""
        runs = (PlannedRun(name, number) for name in names for number in range(1, last + 1))
        return [run for run in runs if run not in self.planned]
