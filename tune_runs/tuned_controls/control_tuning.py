"""The tuned controls of one scenario while they are searched: their runs, and the best configuration of each."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path

from absgd.config import RunConfig
from absgd.counts import plural
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.seed_pairs.pair_run_queue import PairRunQueue
from tune_runs.seed_pairs.pair_runs import PairRun
from tune_runs.space.model import SearchSpace
from tune_runs.stopping.stopping_rules import Never, ScenarioStopping
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuned_points import tuned_control_of
from tune_runs.tuned_controls.tuning_plan import BestControls, TunedControl, TuningPlan, tuning_plan, tuning_stopping


class ControlTuning:
    """The searches over the settings of a scenario's controls, on the first pair of seeds.

    Their runs fill the resources that trials leave idle; plain runs among them are controls of the search, which
    either may begin. The best completed run of each control by validation after its last epoch is confirmed.

    Args:
        scenario: plan of the scenario.
        space: the search space; it may tune no control.
        recorder: has the records of all runs.
        images: gives the splits of the search.
        trunks: folder of the snapshots that runs fork from.
    """

    def __init__(
        self, scenario: ScenarioPlan, space: SearchSpace, recorder: Recorder, images: ScenarioImages, trunks: Path
    ) -> None:
        self._scenario, self._space, self._recorder, self._images = scenario, space, recorder, images
        self._queue = PairRunQueue(scenario.name, recorder, images, trunks)
        self._queue.runs = self.plan.runs
        stopping = tuning_stopping(space)
        self._stopping = defaultdict[str, ScenarioStopping](
            lambda: ScenarioStopping(stopping, "max", lambda _: Never.COMES)
        )
        """Tuned control -> state of the rule that stops its runs, which compares scores."""

    @cached_property
    def plan(self) -> TuningPlan:
        """The plan; it has no runs where the space tunes no control."""
        if not self._space.controls.tuned:
            return TuningPlan()
        counts = self._images.splits_of(self._scenario.name, self._scenario.control).class_counts
        return tuning_plan(self._space, self._scenario, counts)

    @property
    def is_done(self) -> bool:
        """Whether every run has ended."""
        return self._queue.is_done

    @property
    def num_runs(self) -> int:
        """Runs that are not plain controls of the search."""
        return len(self._own_runs)

    @property
    def num_ended(self) -> int:
        """Those of them that have ended."""
        return sum(not self._queue.is_open(run) for run in self._own_runs)

    @property
    def epochs_left(self) -> int:
        """Most epochs still to train, those of plain controls of the search aside."""
        return self._queue.epochs_left(self._own_runs)

    @property
    def _own_runs(self) -> list[PairRun]:
        return [run for run in self._queue.runs if run.phase == "tuning"]

    def requeue(self, plan: TrialPlan) -> None:
        """Start a run again whose process was lost."""
        self._queue.requeue(plan)

    def next_run(self) -> TrialPlan | None:
        """Return a run that can start now, recorded as started; None when there is none.

        Raises:
            UserError: if the data cannot be read.
            OSError: if the tables cannot be written.
        """
        return self._queue.next_run()

    def candidate_of(self, config: RunConfig) -> str | None:
        """Return the name of the tuned control that tries a plain run of the search; None if none does."""
        return tuned_control_of(config, self._space, self._scenario)

    def falls_behind(self, trial: TrialRecord, epoch: int, values: tuple[float, ...] | None) -> bool:
        """Take an epoch of a run; return whether the run is to be stopped.

        Args:
            trial: the run.
            epoch: the epoch, 0-based; one that was taken before does not count.
            values: metrics of the search at this epoch; None: unknown.
        """
        if values is None or trial.candidate is None or not self.plan.is_stopped_early(trial.trial_id):
            return False
        score = self._recorder.objective.score(values)
        return self._stopping[trial.candidate].falls_behind(trial.trial_id, None, epoch, score)

    def best(self) -> BestControls:
        """Return the best configuration of each control so far, by the search's metric after the last epoch."""
        found, notes = [], list(self.plan.notes)
        for name in (method.candidate for method in self.plan.methods):
            done = [trial for trial in self._tried(name) if trial.status == "completed"]
            if done:
                found.append(TunedControl(name, min(done, key=self._order).config))
            else:
                notes.append(f"control `{name}` is left out: no run of its search was completed")
        if left := sum(map(self._queue.is_open, self._queue.runs)):
            notes.append(f"the search over the settings of controls has not ended: {plural(left, 'run')} left")
        return BestControls(tuple(found), tuple(notes))

    def _tried(self, candidate: str) -> list[TrialRecord]:
        """Return the runs on the first pair of a control's configurations, plain controls of the search among them."""
        own = (trial for trial in self._recorder.trials_of(self._scenario.name) if trial.candidate == candidate)
        return [trial for trial in own if trial.phase in ("tuning", "control")]

    def _order(self, trial: TrialRecord) -> tuple[float, float]:
        """Return the sort key of a completed run, the smallest first: its score, then the validation loss."""
        score = self._recorder.objective.score(trial.summary.last_values)
        return -score, self._recorder.epochs[trial.trial_id][-1]["val_loss"]
