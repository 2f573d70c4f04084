"""The tuned controls of one scenario while they are searched: their runs, and the best configuration of each."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from absgd.records import METRICS
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.seed_pairs.pair_run_queue import PairRunQueue
from tune_runs.seed_pairs.pair_runs import PairRun
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuning_plan import MethodPlan, TunedControl, TuningPlan, tuning_plan


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

    def best(self) -> tuple[TunedControl, ...]:
        """Return the best configuration of each control that has a completed run."""
        found = ((method, self._best_run(method)) for method in self.plan.methods)
        return tuple(TunedControl(method.candidate, run.config) for method, run in found if run is not None)

    def _best_run(self, method: MethodPlan) -> PairRun | None:
        ended = [(run, self._recorder.trials.get(run.trial_id)) for run in method.runs]
        done = [(run, trial) for run, trial in ended if trial is not None and trial.status == "completed"]
        return min(done, key=lambda one: self._order(one[1]), default=(None, None))[0]

    def _order(self, trial: TrialRecord) -> tuple[float, float]:
        """Return the sort key of a completed run, the smallest first: the metric, then the validation loss."""
        value = trial.summary.metric_last
        assert value is not None, "a completed run has a last epoch"
        sign = -1.0 if METRICS[self._recorder.metric] == "max" else 1.0
        return sign * value, self._recorder.epochs[trial.trial_id][-1]["val_loss"]
