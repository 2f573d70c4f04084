"""The confirmation of a scenario while it runs: which of its planned runs starts next, and whether all have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tune_runs.confirm.candidate_results import CandidateResult, candidate_results, winner
from tune_runs.confirm.candidates import Candidate, CandidateSet, best_candidates, confirm_id
from tune_runs.confirm.confirmation_plan import NOTHING_TO_CONFIRM, ConfirmationPlan, final_plan, provisional_plan
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.seed_pairs.pair_run_queue import PairRunQueue
from tune_runs.seed_pairs.pair_runs import PairRun, seed_pair
from tune_runs.space.model import ConfirmConfig
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.scenario_plan import ScenarioPlan

_NO_CANDIDATES = CandidateSet((), ())


class ScenarioConfirmation:
    """The runs of one scenario on fresh seeds, once its search is done.

    `update_plan` makes the plan from the records: first the best trials by validation with the plain runs that they
    fork from and, once these have ended, the controls of the winner among them. Where the search was extended after an
    earlier confirmation, candidates that are new are trained in addition, and rows of controls that belonged to another
    winner lose their `candidate`. Everything else only reads the plan.

    Args:
        scenario: plan of the scenario's search.
        config: how many configurations and seeds, and which controls.
        recorder: has the rows of all runs.
        images: gives the splits of each data seed.
        trunks: folder of the snapshots that runs fork from.
        search_is_done: whether the scenario's search has ended.
        first_pair: number of the first seed pair that the search does not use.
    """

    def __init__(
        self,
        scenario: ScenarioPlan,
        config: ConfirmConfig,
        recorder: Recorder,
        images: ScenarioImages,
        trunks: Path,
        search_is_done: Callable[[], bool],
        first_pair: int,
    ) -> None:
        self._config, self._recorder = config, recorder
        self._name, self._search_is_done = scenario.name, search_is_done
        self._plain = scenario.control
        self._pairs = [seed_pair(self._plain.seeds, first_pair + place) for place in range(config.seeds)]
        self._plan: ConfirmationPlan | None = None
        """Plan of the confirmation; None before the search is done."""
        self._queue = PairRunQueue(scenario.name, recorder, images, trunks)

    def update_plan(self) -> None:
        """Make the plan once the search is done, and the final one once every run that may win has ended.

        Call it when a session starts and whenever a run has ended. It gives the rows of the plan's runs their
        `candidate`; rows are written with the next flush of the recorder.
        """
        plan = self._plan
        is_due = plan is None or not (plan.is_final or any(map(self._queue.is_open, plan.best_runs)))
        if is_due and self._search_is_done():
            self._plan = self._make_plan()
            self._queue.runs = self._plan.runs
            if self._plan.runs:
                self._name_rows(self._plan)

    @property
    def candidates(self) -> CandidateSet:
        """The candidates; none before the search is done, or where no trial was completed.

        Before the winner is known the controls are those of `best-1`; only the plain run that it forks from is trained.
        """
        return self._plan.candidates if self._plan else _NO_CANDIDATES

    @property
    def runs(self) -> tuple[PairRun, ...]:
        """Runs of the plan that may start or have started, in their order; none before the search is done."""
        return self._queue.runs

    @property
    def _all_runs(self) -> tuple[PairRun, ...]:
        return self._plan.all_runs if self._plan else ()

    @property
    def num_runs(self) -> int:
        """Runs of the whole plan; those of the winner's controls may still be replaced by others."""
        return len(self._all_runs)

    @property
    def is_done(self) -> bool:
        """Whether the search is done and every run of the plan has ended."""
        is_planned = self._plan is not None and self._search_is_done()
        return is_planned and self._queue.is_done

    @property
    def has_result(self) -> bool:
        """Whether there was something to confirm, and all of it has ended."""
        return bool(self.runs) and self.is_done

    @property
    def num_ended(self) -> int:
        """Runs of the plan that have ended."""
        return self._queue.num_ended

    @property
    def epochs_left(self) -> int:
        """Epochs of the plan still to train, unless a snapshot is missing."""
        return self._queue.epochs_left(self._all_runs)

    def results(self) -> list[CandidateResult]:
        """Return the result of each candidate so far."""
        return self._results_of([one.name for one in self.candidates.members])

    def _results_of(self, names: Sequence[str]) -> list[CandidateResult]:
        trials = [trial for trial in self._recorder.trials_of(self._name) if trial.phase == "confirm"]
        epochs = {trial.trial_id: self._recorder.epochs[trial.trial_id] for trial in trials}
        last_losses = {trial_id: rows[-1]["val_loss"] for trial_id, rows in epochs.items() if rows}
        return candidate_results(trials, last_losses, names, self._recorder.metric)

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
        """Release the images of data seeds that no open run needs."""
        planned = [run for run in self._all_runs if self._queue.is_open(run)]
        self._queue.run_ended(trial_id, {run.config.seeds.data for run in planned})

    def _make_plan(self) -> ConfirmationPlan:
        ranked = [(trial.trial_id, trial.config) for trial in self._recorder.ranked(self._name)]
        every = best_candidates(ranked, top=len(ranked))
        best = [one for place, one in enumerate(every) if place < self._config.top or self._was_confirmed(one)]
        if not best:
            return NOTHING_TO_CONFIRM
        scenario = self._plain, self._name, self._config.controls, self._pairs
        plan = provisional_plan(best, *scenario)
        if any(map(self._queue.is_open, plan.best_runs)):
            return plan
        return final_plan(best, self._winner(best), *scenario)

    def _winner(self, best: Sequence[Candidate]) -> Candidate:
        """Return the candidate with the best validation mean, or the best of the search if no run was completed."""
        found = winner(self._results_of([one.name for one in best]), self._recorder.metric)
        return next((one for one in best if found and one.name == found.name), best[0])

    def _name_rows(self, plan: ConfirmationPlan) -> None:
        """Give the rows of the plan their `candidate`; once the plan is final, rows of an earlier plan lose theirs."""
        names = {run.trial_id: run.candidate for run in plan.all_runs}
        for trial in self._recorder.trials_of(self._name):
            if trial.phase == "confirm":
                trial.candidate = names.get(trial.trial_id, None if plan.is_final else trial.candidate)

    def _was_confirmed(self, candidate: Candidate) -> bool:
        return any(confirm_id(candidate, pair) in self._recorder.trials for pair in self._pairs)


def every_confirmation_failed(confirmations: Mapping[str, ScenarioConfirmation]) -> bool:
    """Whether runs on fresh seeds have begun, and none of them was completed."""
    results = [one for confirmation in confirmations.values() for one in confirmation.results()]
    return any(one.num_runs for one in results) and not any(one.num_completed for one in results)
