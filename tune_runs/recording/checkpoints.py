"""The checkpoints of a search's runs: where they lie, and which of them stay once their run has ended."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from absgd import records
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace
from tune_runs.trial.disk_budget import GIB
from tune_runs.trial.plan import CheckpointUse, TrialPlan


class Checkpoints:
    """While a run trains, its last two checkpoints and its best one stay; afterwards those of the best trials.

    Those of a confirmation that failed stay as well: it is tried again when the search is gone on with.

    Args:
        space: says how many runs keep theirs, and what the disk budget is.
        recorder: knows how runs ended.
        num_writers: runs that may write at the same time.
        origin: which search this is.
    """

    def __init__(self, space: SearchSpace, recorder: Recorder, num_writers: int, origin: str) -> None:
        self._space, self._recorder, self._num_writers, self._origin = space, recorder, num_writers, origin

    def with_folder(self, plan: TrialPlan) -> TrialPlan:
        """The plan with the place of its checkpoints."""
        budget = self._space.disk_budget
        use = CheckpointUse(
            folder=str(self._folder(plan.scenario, plan.trial_id)),
            metric=self._space.metric,
            run_folder=str(self._recorder.folder),
            disk_budget=None if budget is None else int(budget * GIB),
            num_writers=self._num_writers,
        )
        return dataclasses.replace(plan, checkpoints=use, origin=f"{self._origin} {plan.trial_id}")

    def run_ended(self, trial_id: str) -> None:
        """Delete what is no longer needed in the scenario of a run that has ended."""
        self._tidy(self._recorder.trials[trial_id]["scenario"])

    def tidy_all(self) -> None:
        """Delete what a driver that was killed had not deleted yet."""
        for scenario in self._space.scenario_list:
            self._tidy(scenario.name)

    def _tidy(self, scenario: str) -> None:
        kept = {row["trial_id"] for row in self._recorder.ranked(scenario)[: self._space.keep_checkpoints]}
        for row in self._recorder.trials_of(scenario):
            is_tried_again = (row["phase"], row["status"]) == ("confirm", "failed")
            if row["status"] in records.FINISHED and row["trial_id"] not in kept and not is_tried_again:
                shutil.rmtree(self._folder(scenario, row["trial_id"]), ignore_errors=True)

    def _folder(self, scenario: str, trial_id: str) -> Path:
        return records.checkpoints_folder(self._recorder.folder, scenario, trial_id)
