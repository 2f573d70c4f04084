"""The confirmation of a scenario while it runs: which of its planned runs starts next, and whether all have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from absgd import records
from tune_runs.confirm.candidate_results import CandidateResult, candidate_results, winner
from tune_runs.confirm.candidates import (
    Candidate,
    CandidateSet,
    ConfirmRun,
    best_candidates,
    confirm_runs,
    seed_pairs,
    with_controls,
)
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.space.model import ConfirmConfig
from tune_runs.trial.plan import TrialPlan
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.use import TrunkUse

_NONE = CandidateSet((), ())


class ScenarioConfirmation:
    """What one scenario trains on fresh seeds, once its search is done.

    The plan is made from the records each time: the best trials by validation, with the plain runs that they fork from,
    and once these have ended the controls of the winner among them. Where the search was extended since an earlier
    confirmation, what is new among them is trained in addition, and rows of controls that belonged to another winner
    lose their `candidate`.

    Args:
        scenario: plan of the scenario.
        config: how many configurations, seeds and which controls.
        recorder: knows the trials, and how runs have ended.
        images: gives the splits of each data seed.
        trunks: folder of the snapshots that runs fork from.
        search_is_done: whether the scenario's search has ended.
    """

    def __init__(
        self,
        scenario: ScenarioPlan,
        config: ConfirmConfig,
        recorder: Recorder,
        images: ScenarioImages,
        trunks: Path,
        search_is_done: Callable[[], bool],
    ) -> None:
        self._config, self._recorder, self._images = config, recorder, images
        self._name, self._trunks, self._search_is_done = scenario.name, trunks, search_is_done
        self._plain = scenario.control
        self._pairs = seed_pairs(self._plain.seeds, config.seeds)
        self._candidates: CandidateSet | None = None
        self._all: tuple[ConfirmRun, ...] = ()
        """Those of the controls too; before the winner is known they are those of `best-1`."""
        self._runs: tuple[ConfirmRun, ...] = ()
        self._is_final = False
        """Whether nothing that may win is still trained, so that the plan stays as it is."""
        self._lost: list[TrialPlan] = []

    @property
    def candidates(self) -> CandidateSet:
        """What is confirmed; none before the search is done, or where no trial was completed.

        Before the winner is known the controls are those of `best-1`, of which its trunk alone is trained.
        """
        is_old = not self._is_final and not any(map(self._is_open, self._best_runs()))
        if (self._candidates is None or is_old) and self._search_is_done():
            self._make_plan()
        return self._candidates or _NONE

    @property
    def runs(self) -> tuple[ConfirmRun, ...]:
        """Runs of the plan that can be started, in their order, or were; none before the search is done."""
        return self._runs if self.candidates.members else ()

    @property
    def _planned(self) -> tuple[ConfirmRun, ...]:
        """All runs of the plan, those of the controls too, which may still be of `best-1`."""
        return self._all if self.candidates.members else ()

    @property
    def num_runs(self) -> int:
        """Runs of the whole plan; those of the winner's controls may still become other ones."""
        return len(self._planned)

    @property
    def is_done(self) -> bool:
        """Whether the search is done and every run of the plan has ended."""
        return self._search_is_done() and not self._lost and not any(map(self._is_open, self.runs))

    @property
    def has_result(self) -> bool:
        """Whether there was something to confirm, and all of it has ended."""
        return bool(self.runs) and self.is_done

    @property
    def num_ended(self) -> int:
        """Runs of the plan that have ended."""
        return sum(not self._is_open(run) for run in self.runs)

    @property
    def epochs_left(self) -> int:
        """Epochs of the plan that are not trained yet, where no snapshot is missing."""
        return sum(run.config.epochs - self._epochs_done(run) for run in self._planned if self._is_open(run))

    def _epochs_done(self, run: ConfirmRun) -> int:
        return max(run.fork_at, len(self._recorder.epochs.get(run.trial_id, ())))

    def results(self) -> list[CandidateResult]:
        """What each candidate has come to so far."""
        return self._results_of([one.name for one in self.candidates.members])

    def _results_of(self, names: Sequence[str]) -> list[CandidateResult]:
        rows = [row for row in self._recorder.trials_of(self._name) if row["phase"] == "confirm"]
        epochs = self._recorder.epochs
        last = {row["trial_id"]: epochs[row["trial_id"]][-1] for row in rows if epochs[row["trial_id"]]}
        return candidate_results(rows, last, names, self._recorder.metric)

    def requeue(self, plan: TrialPlan) -> None:
        """A run that lost its process goes on in another one."""
        self._lost.append(plan)

    def next_run(self) -> TrialPlan | None:
        """A run that can start now; None when there is none.

        Raises:
            UserError: if the data cannot be read.
        """
        if self._lost:
            return self._lost.pop(0)
        run = next((run for run in self.runs if self._waits(run) and self._has_stage_one(run)), None)
        if run is None:
            return None
        plan = self._plan(run)
        self._recorder.start(plan)
        return plan

    def run_ended(self, trial_id: str) -> None:
        """Release the images of data seeds that no run is left of."""
        if not any(run.trial_id == trial_id for run in self.runs):
            return
        needed = {run.config.seeds.data for run in self._all if self._is_open(run)}
        for pair in self._pairs:
            if pair.data not in needed:
                self._images.release(self._name, pair.data)

    def _make_plan(self) -> None:
        ranked = self._recorder.ranked(self._name)
        every = best_candidates(ranked, [records.config_of(row) for row in ranked], top=len(ranked))
        best = [one for place, one in enumerate(every) if place < self._config.top or self._was_confirmed(one)]
        if not best:
            self._candidates, self._is_final = _NONE, True
            return
        self._plan_controls(best, best[0])
        self._is_final = not any(map(self._is_open, self._best_runs()))
        if self._is_final:
            self._plan_controls(best, self._winner(best))
            self._runs = self._all
        else:
            forked = {run.trunk for run in self._best_runs()}
            self._runs = tuple(run for run in self._all if _is_best(run) or run.trial_id in forked)
        self._name_rows()

    def _plan_controls(self, best: Sequence[Candidate], winner: Candidate) -> None:
        self._candidates = with_controls(best, winner, self._plain, self._name, self._config.controls)
        self._all = confirm_runs(self._candidates.members, self._pairs)

    def _winner(self, best: Sequence[Candidate]) -> Candidate:
        """That with the best mean on validation; the best of the search, where no run was completed."""
        found = winner(self._results_of([one.name for one in best]), self._recorder.metric)
        return next((one for one in best if found and one.name == found.name), best[0])

    def _name_rows(self) -> None:
        """Tell the rows of the plan from those of an earlier one, once the plan is whole."""
        names = {run.trial_id: run.candidate for run in self._all}
        for row in self._recorder.trials_of(self._name):
            if row["phase"] == "confirm":
                row["candidate"] = names.get(row["trial_id"], None if self._is_final else row["candidate"])

    def _best_runs(self) -> list[ConfirmRun]:
        return [run for run in self._all if _is_best(run)]

    def _was_confirmed(self, candidate: Candidate) -> bool:
        return any(f"{candidate.run}-seed{pair.number}" in self._recorder.trials for pair in self._pairs)

    def _is_open(self, run: ConfirmRun) -> bool:
        row = self._recorder.trials.get(run.trial_id)
        return row is None or row["status"] not in records.FINISHED

    def _waits(self, run: ConfirmRun) -> bool:
        row = self._recorder.trials.get(run.trial_id)
        return row is None or row["status"] == "interrupted"

    def _has_stage_one(self, run: ConfirmRun) -> bool:
        """Whether a run need not wait: its trunk has passed the fork, or will not come to it."""
        if run.trunk is None:
            return True
        row = self._recorder.trials.get(run.trunk)
        if row is None or row["status"] == "interrupted":
            return False
        return row["status"] != "running" or self._recorder.epochs_reached[run.trunk] >= run.fork_at

    def _plan(self, run: ConfirmRun) -> TrialPlan:
        return TrialPlan(
            trial_id=run.trial_id,
            scenario=self._name,
            phase="confirm",
            number=None,
            config=run.config,
            trunk=self._trunk_use(run),
            candidate=run.candidate,
        )

    def _trunk_use(self, run: ConfirmRun) -> TrunkUse | None:
        if run.trunk is None and not run.save_at:
            return None
        trunk = next(one for one in self._all if one.trial_id == (run.trunk or run.trial_id)).config
        data = self._images.fingerprint(self._name, trunk, trunk.model.weights)
        return TrunkUse(str(self._trunks), trunk.stage_one_key(), data, run.fork_at, run.save_at)


def _is_best(run: ConfirmRun) -> bool:
    return records.is_best(run.candidate)
