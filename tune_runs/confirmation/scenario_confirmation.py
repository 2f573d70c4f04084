"""The confirmation of a scenario while it runs: which of its planned runs starts next, and what has been found."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absgd import records
from absgd.comparisons import ClaimRules, PriorVariance, search_spread
from absgd.records import (
    METRICS,
    POINT,
    best_of_all,
    confirm_id,
    is_best,
    source_of,
    test_metric_of,
)
from tune_runs.confirmation.candidate_results import CandidateResult, candidate_results, winner
from tune_runs.confirmation.candidates import Candidate, CandidateSet, confirm_runs, with_controls
from tune_runs.confirmation.certain_runs import CertainRuns, certain_runs_of, in_common
from tune_runs.confirmation.contests import contest_of, deciding_controls
from tune_runs.confirmation.look_rows import LookFile, look_rows, recorded_prior
from tune_runs.confirmation.round_plan import Outcome
from tune_runs.confirmation.rounds import RoundRules, Rounds, replay
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.seed_pairs.pair_run_queue import PairRunQueue
from tune_runs.seed_pairs.pair_runs import PairRun, seed_pair
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import ConfirmConfig
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuning_plan import BestControls

_MOST_COMPARED = 100
"""Most trials of which the confirmations are compared while the search runs: the driver needs 5 ms for each."""


class ScenarioConfirmation:
    """The runs of one scenario on fresh seeds, once its search is done.

    `update_plan` replays the rounds (`tune_runs.confirmation.rounds`) from the records: the configuration that the
    search has chosen against its controls, one seed pair after another, until nothing is undecided. Where the search
    was extended after an earlier confirmation and has chosen another configuration, rows of candidates that no longer
    belong to it lose their `candidate`. Everything else only reads the plan.

    Args:
        scenario: plan of the scenario's search.
        space: the space, with its `confirm` or the defaults.
        recorder: has the rows of all runs.
        images: gives the splits of each data seed.
        trunks: folder of the snapshots that runs fork from.
        search_is_done: whether the scenario's search has ended, and that of its tuned controls.
        best_controls: gives the best configuration of each tuned control.
        may_be_chosen: gives the trials of which the search will choose one; none while others may follow, or none of
            them has completed.
    """

    def __init__(
        self,
        scenario: ScenarioPlan,
        space: SearchSpace,
        recorder: Recorder,
        images: ScenarioImages,
        trunks: Path,
        search_is_done: Callable[[], bool],
        best_controls: Callable[[], BestControls] = BestControls,
        may_be_chosen: Callable[[], Sequence[TrialRecord]] = tuple,
    ) -> None:
        self._space, self._config, self._recorder = space, space.confirm or ConfirmConfig(), recorder
        self._name, self._plain, self._search_is_done = scenario.name, scenario.control, search_is_done
        self._best_controls, self._may_be_chosen = best_controls, may_be_chosen
        self._queue = PairRunQueue(scenario.name, recorder, images, trunks)
        self._is_planned = False
        self._candidates = CandidateSet((), ())
        self._rounds: Rounds | None = None
        """None before the search is done, and where no trial was completed."""
        self._replayed: object = None
        """The subject and the status of each run from which the rounds were replayed."""
        self._look_file = LookFile(records.confirmation_file(recorder.folder, scenario.name))
        self._rules_of: dict[str, RoundRules] = {}
        self._certain_of: dict[str, CertainRuns] = {}
        """Trial that may be chosen -> the runs that its confirmation trains in any case."""

    def update_plan(self) -> None:
        """Replay the rounds once the search is done, and write what they have found; before, plan what is certain.

        Call it when a session starts and whenever a run has ended. It gives the rows of the plan's runs their
        `candidate`; rows are written with the next flush of the recorder.

        Raises:
            OSError: if the table of the findings cannot be written.
        """
        if not self._search_is_done():
            self._queue.runs = self._certain_runs()
            return
        subject = self._subject()
        known = subject, {trial.trial_id: trial.status for trial in self._rows}
        if self._is_planned and known == self._replayed:
            return
        self._is_planned, self._replayed = True, known
        self._candidates = CandidateSet((), ())
        self._rounds = None
        runs: tuple[PairRun, ...] = ()
        if subject is not None:
            self._candidates = self._candidates_of(subject)
            self._rounds, runs = self._replay()
            self._name_rows()
        self._queue.runs = runs
        self._write()

    @property
    def candidates(self) -> CandidateSet:
        """The configuration and its controls; none before the search is done, or where no trial was completed."""
        return self._candidates

    @property
    def rounds(self) -> Rounds | None:
        """The rounds so far; None before the search is done, or where no trial was completed."""
        return self._rounds

    @property
    def runs(self) -> tuple[PairRun, ...]:
        """Runs that may start or have started, in their order; before the search is done, those that are certain."""
        return self._queue.runs

    @property
    def num_runs(self) -> int:
        """Runs planned so far; more follow while a comparison is undecided."""
        return len(self.runs)

    @property
    def is_done(self) -> bool:
        """Whether the search is done, every planned run has ended, and none follows."""
        is_planned = self._is_planned and self._search_is_done()
        return is_planned and self._queue.is_done and (self._rounds is None or self._rounds.ending is not None)

    @property
    def has_result(self) -> bool:
        """Whether there was something to confirm, and all of it has ended."""
        return bool(self.runs) and self.is_done

    @property
    def num_ended(self) -> int:
        """Planned runs that have ended."""
        return self._queue.num_ended

    @property
    def epochs_left(self) -> int:
        """Most epochs still to train, unless a snapshot is missing."""
        return self._queue.epochs_left() + (self._rounds.epochs_later if self._rounds else 0)

    @property
    def epochs_done(self) -> int:
        """Epochs of the planned runs that are trained, those of their trunks too."""
        return sum(run.config.epochs for run in self.runs) - self._queue.epochs_left()

    @property
    def metric(self) -> str:
        """The metric of the search."""
        return self._recorder.metric

    def results(self) -> list[CandidateResult]:
        """Return the result of each candidate so far, and of others that an earlier version confirmed."""
        names = [one.name for one in self.candidates.members]
        return self._results_of([*names, *(name for name in sorted(self._earlier_bests) if name not in names)])

    def _results_of(self, names: Sequence[str]) -> list[CandidateResult]:
        epochs = {trial.trial_id: self._recorder.epochs[trial.trial_id] for trial in self._rows}
        last_losses = {trial_id: rows[-1]["val_loss"] for trial_id, rows in epochs.items() if rows}
        return candidate_results(self._rows, last_losses, names, self._recorder.metric)

    def best_of_all(self) -> Candidate | None:
        """Return the candidate to take home, once all runs have ended: the configuration, or a control.

        None where no control was tuned.
        """
        members = {one.name: one for one in self._candidates.members}
        if not any(one.is_tuned for one in members.values()) or self._rounds is None or not self.has_result:
            return None
        subject, *rivals = members
        last = self._rounds.last()
        findings = {name: last[name].comparison.finding if name in last else None for name in rivals}
        return members[best_of_all(subject, findings, self._validation_scores())]

    def _validation_scores(self) -> dict[str, dict[int, float]]:
        """Return candidate -> seed pair -> metric on validation after the last epoch, larger is better."""
        found: dict[str, dict[int, float]] = defaultdict(dict)
        for trial in self._rows:
            value = trial.summary.metric_last
            if trial.candidate and trial.pair is not None and trial.status == "completed" and value is not None:
                found[trial.candidate][trial.pair] = self._signed(value)
        return found

    def requeue(self, plan: TrialPlan) -> None:
        """Start a run again whose process was lost."""
        self._queue.requeue(plan)

    def next_run(self) -> TrialPlan | None:
        """Return a run that can start now, recorded as started; None when there is none.

        Raises:
            UserError: if the data cannot be read.
        """
        return self._queue.next_run()

    def run_ended(self, trial_id: str) -> None:
        """Release the images of data seeds that neither a planned run needs nor a round that has begun early."""
        early = self._rounds.early if self._rounds else None
        needed = {run.config.seeds.data for run in self.runs} if self._rounds is None else set()
        needed |= {seed_pair(self._plain.seeds, self._pair(early.round)).data} if early else set()
        self._queue.run_ended(trial_id, needed)

    def _certain_runs(self) -> tuple[PairRun, ...]:
        """Return the runs that are planned before the search is done, so that they fill processors that it leaves idle.

        There are none where the best settings of controls are still searched, or a budget may not allow them.
        """
        space, trials = self._space, self._may_be_chosen()
        has_budget = space.has_budget or self._config.epoch_budget is not None
        if has_budget or space.controls.tuned or not 0 < len(trials) <= _MOST_COMPARED:
            return ()
        for trial in trials:
            if trial.trial_id not in self._certain_of:
                members = self._candidates_of(Candidate(records.best_name(1), trial.trial_id, trial.config)).members
                runs = certain_runs_of(members, self._pair(1), self._config.max_pairs)
                self._certain_of[trial.trial_id] = runs
        return in_common(self._certain_of[trial.trial_id] for trial in trials)

    def _candidates_of(self, subject: Candidate) -> CandidateSet:
        return with_controls(subject, self._plain, self._name, self._config.controls, self._best_controls())

    @property
    def _rows(self) -> list[TrialRecord]:
        return [trial for trial in self._recorder.trials_of(self._name) if trial.phase == "confirm"]

    def _rules(self, subject: str) -> RoundRules:
        """Return the rules of the confirmation of a trial; the same ones throughout a session."""
        if subject not in self._rules_of:
            claims = ClaimRules(self._config.margin * POINT, num_scenarios=len(self._space.scenarios))
            bounds = self._config.max_pairs, self._config.epoch_budget
            self._rules_of[subject] = RoundRules(claims, *bounds, self._prior(subject))
        return self._rules_of[subject]

    @property
    def _earlier_bests(self) -> dict[str, str]:
        """Name -> trial of the configurations that an earlier version confirmed side by side; none of one alone."""
        found = {str(one.candidate): source_of(one.trial_id) for one in self._rows if is_best(one.candidate or "")}
        return found if len(found) > 1 else {}

    def _subject(self) -> Candidate | None:
        """Return what the search chose, or the winner of those that an earlier version confirmed side by side."""
        best = self._recorder.best(self._name)
        if best is None:
            return None
        name, earlier = records.best_name(1), self._earlier_bests
        if best.trial_id in earlier.values():
            won = winner(self._results_of(sorted(earlier)), self._recorder.metric)
            if won is not None:
                name, best = won.name, self._recorder.trials[earlier[won.name]]
        return Candidate(name, best.trial_id, best.config)

    @property
    def deciding(self) -> tuple[str, ...]:
        """Names of the controls that the subject must beat to be called better; none before it is known."""
        subject = next(iter(self._candidates.members), None)
        return deciding_controls(subject) if subject else ()

    def _replay(self) -> tuple[Rounds, tuple[PairRun, ...]]:
        members = self._candidates.members
        sources = {one.name: one.run for one in members}

        def outcome(name: str, number: int) -> Outcome | None:
            return self._outcome(confirm_id(sources[name], self._pair(number)))

        found = replay(contest_of(members), self._rules(members[0].run), outcome)
        planned = {confirm_id(sources[run.candidate], self._pair(run.round)) for run in found.planned}
        rounds = ((self._pair(number), names) for number, names in found.members.items())
        every = [
            run for pair, names in rounds for run in confirm_runs([one for one in members if one.name in names], pair)
        ]
        return found, tuple(run for run in every if run.trial_id in planned)

    def _pair(self, number: int) -> int:
        """Return the seed pair of a round: the first is the one that follows those of the search."""
        return self._space.seeds.pairs + number - 1

    def _outcome(self, trial_id: str) -> Outcome | None:
        trial = self._recorder.trials.get(trial_id)
        if trial is None or not trial.is_finished:
            return None
        value = trial.test.get(test_metric_of(self._recorder.metric)) if trial.status == "completed" else None
        score = None if value is None or math.isnan(value) else self._signed(value)
        return Outcome(score, trial.status == "diverged")

    def _signed(self, value: float) -> float:
        return value if METRICS[self._recorder.metric] == "max" else -value

    def _prior(self, subject: str) -> PriorVariance | None:
        """Return the spread with which earlier looks at a trial were judged; before the first, that of the search."""
        if (row := self._look_file.first_row(subject)) is not None:
            return recorded_prior(row)
        gains = {score.trial.trial_id: score.gains for score in self._recorder.scores(self._name)}
        return search_spread(gains, subject)

    def _name_rows(self) -> None:
        """Set `candidate` in the rows of all candidates, and clear it in others, save those of an earlier version."""
        names = {one.run: one.name for one in self._candidates.members}
        earlier = self._earlier_bests
        kept = earlier if self._candidates.members[0].run in earlier.values() else {}
        for trial in self._rows:
            trial.candidate = names.get(source_of(trial.trial_id), trial.candidate if trial.candidate in kept else None)

    def _write(self) -> None:
        if self._rounds is None:
            self._look_file.write([])
            return
        subject = self._candidates.members[0].run
        rules = self._rules(subject)
        self._look_file.write(look_rows(self._rounds, subject, self._name, self._recorder.metric, rules))


def every_confirmation_failed(confirmations: Mapping[str, ScenarioConfirmation]) -> bool:
    """Whether runs on fresh seeds have begun, and none of them was completed."""
    results = [one for confirmation in confirmations.values() for one in confirmation.results()]
    return any(one.num_runs for one in results) and not any(one.num_completed for one in results)
