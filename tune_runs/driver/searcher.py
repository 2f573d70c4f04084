"""The searcher that Ray asks for the next run: a control, a trial, a run on a further pair, or of a confirmation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ray.tune.search import Searcher

from absgd.errors import UserError
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.driver.due_reports import DueReports
from tune_runs.driver.stop_request import StopRequest
from tune_runs.driver.study import ScenarioStudy
from tune_runs.driver.trunk_planner import TrunkPlanner
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.seed_pairs.search_over_pairs import SearchOverPairs
from tune_runs.space.distinct_points import num_trials_of
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.trunk_use import fork_epoch
from tune_runs.tuned_controls.control_tuning import ControlTuning


class ScenarioRunQueue:
    """Chooses the next run of one scenario: its control, then trials, each once its stage one is ready.

    As many trials as can train at the same time are drawn before their stage one is ready, because the trunk reaches
    the switch of some before that of others.

    Args:
        study: proposes trials.
        planner: plans the scenario's controls and forks.
        recorder: has the progress of each control.
        num_ahead: most trials that wait for their stage one.
    """

    def __init__(self, study: ScenarioStudy, planner: TrunkPlanner, recorder: Recorder, num_ahead: int) -> None:
        self.study, self._planner, self._recorder, self._num_ahead = study, planner, recorder, num_ahead
        self._name = study.scenario.name
        self._to_ask = max(0, num_trials_of(study.space, study.scenario) - recorder.finished(self._name))
        self._waiting: list[TrialPlan] = []
        self._lost: list[TrialPlan] = []
        self._to_remake = self._without_snapshots()
        """Keys of stage ones whose control must train again for its snapshots."""

    @property
    def num_left(self) -> int:
        """Number of search trials that have not begun, or must begin again."""
        return self._to_ask + len(self._waiting) + sum(plan.phase == "search" for plan in self._lost)

    @property
    def trials_are_done(self) -> bool:
        """Whether the trials and the controls of their stage ones have ended; it stays so."""
        every = self._recorder.trials_of(self._name)
        trials = [trial for trial in every if trial.phase == "search"]
        keys = {trial.stage_one_key for trial in trials}
        own = self._recorder.control(self._name)
        controls = [one for one in self._recorder.controls(self._name) if one is own or one.stage_one_key in keys]
        return own is not None and not self.num_left and all(one.is_finished for one in (*trials, *controls))

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train on pair 0, runs of tuned controls aside.

        A plain control that tuned controls have begun counts while it trains, because it may have to begin again.
        """
        every = self._recorder.trials_of(self._name)
        trials = (trial for trial in every if trial.pair == 0 and trial.phase != "tuning")
        is_idle = not self._lost and not any(trial.status == "running" for trial in trials)
        return is_idle and not self.num_left and not self._interrupted_control() and self._has_control

    def requeue(self, plan: TrialPlan) -> None:
        """Start a run again whose process was lost."""
        self._lost.append(plan)

    def next_control(self) -> TrialPlan | None:
        """Return a control that must continue, or the scenario's own if it has not begun; else None."""
        if plan := next((plan for plan in self._lost if plan.phase == "control"), None):
            self._lost.remove(plan)
            return plan
        if control := self._interrupted_control():
            return self._start(self._planner.control_from(control.config))
        return None if self._has_control else self._start(self._planner.own_control())

    def next_trial(self) -> TrialPlan | None:
        """Return a trial that can start now, or a control that one waits for; None when there is none."""
        if self._lost:
            return self._lost.pop(0)
        while True:
            if plan := next(filter(self._has_stage_one, self._waiting), None):
                self._waiting.remove(plan)
                return self._start(self._planner.forked(plan) if self._planner.forks(plan) else plan)
            if plan := next(filter(self._lacks_control, self._waiting), None):
                return self._start(self._planner.control_from(plan.config.stage_one()))
            if self._to_ask and len(self._waiting) < self._num_ahead:
                self._waiting.append(self.study.ask())
                self._to_ask -= 1
            else:
                return None

    def _has_stage_one(self, plan: TrialPlan) -> bool:
        """Whether a trial need not wait: its control has passed the switch, or never will."""
        if not self._planner.forks(plan):
            return True
        control = self._recorder.control(self._name, plan.stage_one_key)
        if control is None or plan.stage_one_key in self._to_remake:
            return False
        return control.status != "running" or self._recorder.epochs_reached[control.trial_id] >= fork_epoch(plan.config)

    def _lacks_control(self, plan: TrialPlan) -> bool:
        """Whether nothing trains, or has trained, the stage one that a trial waits for."""
        if plan.stage_one_key in self._to_remake:
            self._to_remake.remove(plan.stage_one_key)
            return True
        return self._recorder.control(self._name, plan.stage_one_key) is None

    @property
    def _has_control(self) -> bool:
        return self._recorder.control(self._name) is not None

    def _interrupted_control(self) -> TrialRecord | None:
        controls = self._recorder.controls(self._name)
        return next((control for control in controls if control.status == "interrupted"), None)

    def _without_snapshots(self) -> set[str]:
        """Return the keys of stage ones whose control ended in an earlier session and whose snapshots are gone."""
        ended = [control for control in self._recorder.controls(self._name) if control.status == "completed"]
        needed = ended if self._to_ask else []
        return {control.stage_one_key for control in needed if self._planner.has_lost(control.config)}

    def release_images(self, images: ScenarioImages) -> None:
        """Release the images of pair 0 once its trials are done: further pairs have their own data seeds."""
        if self.is_done:
            images.release(self._name, self._planner.own_config.seeds.data)

    def _start(self, plan: TrialPlan) -> TrialPlan:
        self._recorder.start(plan)
        return plan


class RunQueueSearcher(Searcher):  # type: ignore[misc]
    """All scenarios behind one Ray searcher; the scenario with the most trials left comes first.

    The plain controls of all scenarios come before everything else, then trials, then runs on further seed pairs, then
    those of tuned controls, then runs of confirmations. The trials of a scenario go on to a further pair, and it to its
    confirmation, once all of its own runs before have ended. The control of the first further pair, and runs of a
    confirmation that are certain, begin earlier. All these fill the resources that trials leave idle.
    `tune_runs.driver.recording_callback` tells the results of trials to the studies, once they are recorded.

    Args:
        searches: search of each scenario by its name.
        further_pairs: search over further seed pairs of each scenario.
        tunings: search over the settings of the controls of each scenario.
        confirmations: confirmation of each scenario that this session confirms.
        images: images of all scenarios; those of a run are handed to workers before it starts.
        with_checkpoints: gives a plan the folder of its checkpoints.
        due_reports: says which epochs of a run are reported at once.
        stop: ends the search when a study, the records or images cannot be written or read.
        is_searching: whether trials are drawn; else the results so far are confirmed.
    """

    def __init__(
        self,
        searches: Mapping[str, ScenarioRunQueue],
        further_pairs: Mapping[str, SearchOverPairs],
        tunings: Mapping[str, ControlTuning],
        confirmations: Mapping[str, ScenarioConfirmation],
        images: ScenarioImages,
        with_checkpoints: Callable[[TrialPlan], TrialPlan],
        due_reports: DueReports,
        stop: StopRequest,
        is_searching: bool = True,
    ) -> None:
        super().__init__()
        self.searches, self.further_pairs, self.confirmations = searches, further_pairs, confirmations
        self.tunings = tunings
        self._images, self._with_checkpoints, self._due_reports = images, with_checkpoints, due_reports
        self._stop, self._is_searching = stop, is_searching
        self.plans: dict[str, TrialPlan] = {}
        """Plan of every trial of this session by Ray's trial id."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        is_searched = not self._is_searching or (
            all(pairs.is_done for pairs in self.further_pairs.values())
            and all(tuning.is_done for tuning in self.tunings.values())
        )
        return is_searched and all(confirmation.is_done for confirmation in self.confirmations.values())

    def requeue(self, plan: TrialPlan) -> None:
        """Start a run again whose process was lost."""
        if plan.phase == "confirm":
            self.confirmations[plan.scenario].requeue(plan)
        elif plan.phase == "tuning":
            self.tunings[plan.scenario].requeue(plan)
        elif plan.pair > 0:
            self.further_pairs[plan.scenario].requeue(plan)
        else:
            self.searches[plan.scenario].requeue(plan)

    def run_ended(self, trial_id: str) -> None:
        """Release images that no further run of the scenario learns from."""
        for name, search in self.searches.items():
            if self.tunings[name].is_done:  # its runs learn from the same images
                search.release_images(self._images)
        for pairs in self.further_pairs.values():
            pairs.run_ended(trial_id)
        for confirmation in self.confirmations.values():
            confirmation.run_ended(trial_id)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next run as Ray's configuration; None when there may be one later, FINISHED at the end."""
        try:
            plan = self._next()
            if plan is None:
                return str(Searcher.FINISHED) if self.is_done else None
            self._images.splits_of(plan.scenario, plan.config)
        except OSError as error:
            self._stop.record_error(error)
            return str(Searcher.FINISHED)
        except UserError as error:
            self._stop.fail(str(error))
            return str(Searcher.FINISHED)
        self.plans[trial_id] = replace(self._with_checkpoints(plan), report_at=self._due_reports(plan))
        return self.plans[trial_id].task.to_ray_config()

    def _next(self) -> TrialPlan | None:
        return next((plan for plan in self._can_start() if plan), None)

    def _can_start(self) -> Iterator[TrialPlan | None]:
        """Yield what may start next, the most urgent first; each is asked only where nothing before it can start."""
        if self._is_searching:
            yield from (search.next_control() for search in self.searches.values())
            searches = sorted(self.searches.values(), key=lambda search: -search.num_left)
            yield from (search.next_trial() for search in searches)
            yield from (pairs.next_run() for pairs in self.further_pairs.values())
            yield from (tuning.next_run() for tuning in self.tunings.values())
        yield from (confirmation.next_run() for confirmation in self.confirmations.values())

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the recording callback gets the same event and records it first."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the journal has everything."""

    def set_search_properties(self, *_args: object, **_spec: object) -> bool:
        """Change nothing: the space decides everything."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its searcher into a file that is never read back."""
        return {}
