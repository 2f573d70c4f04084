"""The checkpoints of a search's runs: where they are stored, and which are kept once their run has ended."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from absgd import records
from tune_runs.file_store.interface import StoreUse
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import ConfirmConfig
from tune_runs.trial.disk_budget import GIB
from tune_runs.trial.trial_plan import CheckpointUse, TrialPlan


def checkpoint_use(space: SearchSpace, run_folder: Path, folder: Path, num_writers: int) -> CheckpointUse:
    """Return where a run of a search saves its checkpoints, and what bounds them.

    Args:
        space: gives the metric and the disk budget.
        run_folder: folder of the search.
        folder: folder of the run's checkpoints.
        num_writers: runs that may write at the same time.
    """
    return CheckpointUse(
        folder=str(folder),
        metric=space.objective.first,
        run_folder=str(run_folder),
        disk_budget=None if space.disk_budget is None else int(space.disk_budget * GIB),
        num_writers=num_writers,
    )


class Checkpoints:
    """Places the checkpoints of runs and deletes those no longer needed.

    While a run trains, its last two checkpoints and its best one are kept; afterwards only those of the best trials,
    and of all that may still become the best on further seed pairs. Checkpoints of a failed run that is tried again
    when the search resumes are kept too.

    Args:
        space: gives the number of runs that keep their checkpoints, and the disk budget.
        recorder: has the records of all trials.
        in_play: gives the ids of a scenario's trials that may still be chosen on further seed pairs.
        num_writers: runs that may write at the same time.
        origin: id of the search.
        store: the store of nodes that do not see the run folder; None: every node sees it.
    """

    def __init__(
        self,
        space: SearchSpace,
        recorder: Recorder,
        in_play: Callable[[str], Collection[str]],
        num_writers: int,
        origin: str,
        store: StoreUse | None = None,
    ) -> None:
        self._space, self._recorder, self._in_play = space, recorder, in_play
        self._num_writers, self._origin, self._store = num_writers, origin, store
        self._present: dict[str, set[str]] = {}
        """Scenario -> runs whose folder may exist."""

    def with_folder(self, plan: TrialPlan) -> TrialPlan:
        """Return the plan with the folder of its checkpoints and, in a confirmation, the file of its predictions."""
        self._present_in(plan.scenario).add(plan.trial_id)
        folder = self._folder(plan.scenario, plan.trial_id)
        use = checkpoint_use(self._space, self._recorder.folder, folder, self._num_writers)
        keeps = plan.phase == "confirm" and (self._space.confirm or ConfirmConfig()).predictions
        file = str(records.predictions_file(self._recorder.folder, plan.trial_id)) if keeps else None
        origin = f"{self._origin} {plan.trial_id}"
        return dataclasses.replace(plan, checkpoints=use, origin=origin, predictions=file, store=self._store)

    def run_ended(self, trial_id: str) -> None:
        """Delete what is no longer needed in the scenario of a run that has ended."""
        self._tidy(self._recorder.trials[trial_id].scenario)

    def tidy_all(self) -> None:
        """Delete what a killed driver had not deleted yet."""
        for scenario in self._space.scenario_list:
            self._tidy(scenario.name)

    def _tidy(self, scenario: str) -> None:
        keep = self._space.keep_checkpoints
        kept = {trial.trial_id for trial in self._recorder.ranked(scenario)[:keep]}
        kept.update(self._in_play(scenario) if keep else ())
        for trial_id in self._present_in(scenario) - kept:
            trial = self._recorder.trials.get(trial_id)
            if trial is None or not trial.is_finished:
                continue
            is_tried_again = trial.phase in ("confirm", "replicate", "tuning") and trial.status == "failed"
            if not is_tried_again:
                shutil.rmtree(self._folder(scenario, trial_id), ignore_errors=True)
                self._present_in(scenario).discard(trial_id)

    def _present_in(self, scenario: str) -> set[str]:
        if scenario not in self._present:
            folder = self._folder(scenario, "x").parent
            self._present[scenario] = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return self._present[scenario]

    def _folder(self, scenario: str, trial_id: str) -> Path:
        return records.checkpoints_folder(self._recorder.folder, scenario, trial_id)
