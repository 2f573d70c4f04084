"""The Optuna study of a scenario: it proposes points and keeps the results of trials.

A study holds the points that the search has proposed, also those of trials without a record yet. Ray's own OptunaSearch
is not used: it reports trials stopped early as COMPLETE and keeps its state in a pickle; asking and telling Optuna
directly is shorter, and the journal rebuilds everything.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from absgd import records
from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.records import STUDY_FILE, Status
from tune_runs.driver.study_draws import FIXED_PARAMS, StudyDraws
from tune_runs.driver.study_journal import open_study
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.request.recorded_space import without_places
from tune_runs.request.space_files import refuse_changes
from tune_runs.space.distinct_points import distinct_points
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Scalar
from tune_runs.space.run_configs import (
    enqueued_points,
    optuna_params,
    point_identity,
    suggested_config,
)
from tune_runs.stopping.rungs import early_stopping
from tune_runs.trial.trial_plan import TrialPlan

TRIAL_ID = "trial_id"
"""User attribute of a trial, written once all of its parameters are drawn."""
SPACE = "space"
"""User attribute of a study: the settings of the space that decide its trials."""
POINTS = "points"
"""User attribute of a study: the points that it tries before it draws."""


class ScenarioStudy:
    """The Optuna study of one scenario, in a journal inside the run folder.

    A trial keeps its number until it ends: an interrupted one is WAITING in the study, and is asked for again before
    any new one. So no trial is in the study twice, and a driver that died leaves none RUNNING.

    Args:
        space: the search space.
        scenario: the scenario that is searched.
        folder: folder of `study.journal`; created when absent.
        warm_start: points of another search, which a new study tries after those of `space.enqueue`.

    Raises:
        UserError: if the journal is damaged, or was made for a space that asks for something else.
    """

    def __init__(
        self, space: SearchSpace, scenario: Scenario, folder: Path, warm_start: Sequence[Mapping[str, Scalar]] = ()
    ) -> None:
        self.space, self.scenario = space, scenario
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study, self._storage = open_study(
            folder / STUDY_FILE, scenario.name, *(records.METRICS[metric] for metric in space.objective.metrics)
        )
        self._stopping = early_stopping(space)
        self._live: dict[str, optuna.trial.Trial] = {}
        self._again: list[FrozenTrial] = []
        """Trials that are finished in the study but whose records are lost: trained again, but not told again."""
        self._first_epochs: dict[str, int] = {}
        """Trial -> epoch from which its steps count."""
        self._reported: dict[str, int] = {}
        self._check_space()
        self._queue_points(warm_start)
        self._draws = StudyDraws(self.study, space, scenario, self.study.user_attrs[POINTS])

    def prepare(self, recorder: Recorder) -> None:
        """Bring the study to what is recorded: tell it trials that ended, and let the others wait to continue.

        Raises:
            UserError: if the study lacks trials that are recorded.
            OSError: if the journal cannot be written.
        """
        trials = self.study.get_trials(deepcopy=False)
        searched = [one for one in recorder.trials_of(self.scenario.name) if one.phase == "search"]
        recorded = {one.number: one for one in searched if one.number is not None}
        asked = [trial.number for trial in trials if trial.state != TrialState.WAITING or TRIAL_ID in trial.user_attrs]
        if max(recorded, default=-1) > max(asked, default=-1):
            raise UserError(
                f"the study of `{self.scenario.name}`, or part of it, is missing, but its trials are recorded "
                "(--resume)"
            )
        for trial in trials:
            record = recorded.get(trial.number)
            has_ended = record is not None and record.is_finished
            if record is not None and has_ended and not trial.state.is_finished():
                self._tell_recorded(trial, record, recorder)
            elif trial.state == TrialState.RUNNING:
                self._complete_draws(trial, trials)
                self._let_wait(trial)
            elif trial.state.is_finished() and not has_ended:
                self._again.append(trial)

    def ask(self) -> TrialPlan:
        """Return a trial that was interrupted, else the next one.

        The sampler is seeded with the trial's number, so that a resumed search draws what an uninterrupted one draws.

        Raises:
            OSError: if the journal cannot be written.
        """
        if self._again:
            frozen = self._again.pop(0)
            trial = optuna.trial.FixedTrial(frozen.params, frozen.number)
            return self._planned(frozen.number, suggested_config(self.space, self.scenario, trial))
        live = self.study.ask()
        self.study.sampler = self._draws.sampler_of(live.number)
        if not live.params and (other := self._draws.in_place_of_a_repetition(live.number)):
            self._storage.set_trial_system_attr(live._trial_id, FIXED_PARAMS, other)
            live = optuna.trial.Trial(self.study, live._trial_id)
        plan = self._planned(live.number, suggested_config(self.space, self.scenario, live))
        live.set_user_attr(TRIAL_ID, plan.trial_id)
        self._follow(plan, live)
        return plan

    def report(self, trial_id: str, epoch: int, value: float) -> None:
        """Report an intermediate value, for dashboards and for TPE's use of pruned trials; an epoch counts once.

        TPE ranks pruned trials first by the steps they reached, so where rungs count from a trial's own switch, steps
        do too; epochs of stage one, which a trial trains where it finds no snapshot, are not its own. Optuna takes no
        intermediate values of two metrics: in a Pareto search stopped trials are among the worse ones, whatever they
        reached.

        Raises:
            OSError: if the journal cannot be written.
        """
        if trial_id not in self._live or self.space.objective.is_pareto:
            return
        step = epoch - self._first_epochs[trial_id]
        if step >= 0 and epoch > self._reported[trial_id]:
            self._live[trial_id].report(value, step=step)
            self._reported[trial_id] = epoch

    def tell(self, trial_id: str, status: Status, values: Sequence[float]) -> None:
        """Tell how a trial ended, with its last metrics: one that was stopped or diverged is PRUNED, never COMPLETE.

        Raises:
            OSError: if the journal cannot be written.
        """
        if (trial := self._live.pop(trial_id, None)) is None:
            return
        trial.set_user_attr("status", status)
        if status == "completed":
            self.study.tell(trial, values)
        else:
            self.study.tell(trial, state=TrialState.FAIL if status == "failed" else TrialState.PRUNED)

    def release(self) -> None:
        """Let the trials that still run wait for a resume, since the session ends early.

        Raises:
            OSError: if the journal cannot be written.
        """
        for trial in self._live.values():
            self._let_wait(trial)
        self._live.clear()

    def _check_space(self) -> None:
        """Refuse a space that differs from the one that the study was made for."""
        decisive = self.space.decisive()
        if SPACE not in self.study.user_attrs:
            self.study.set_user_attr(SPACE, decisive)
        known, now = without_places(self.study.user_attrs[SPACE]), without_places(decisive)
        refuse_changes(known, now, f"{records.SPACE_FILE} and the study")

    def _queue_points(self, warm_start: Sequence[Mapping[str, Scalar]]) -> None:
        """Queue known-good points in a new study; all points, those first, where the space has no more than trials.

        They are first written as a list, so that a resume completes a queue cut short by a kill.
        """
        if POINTS not in self.study.user_attrs:
            inside: list[Mapping[str, Scalar]] = list(enqueued_points(self.space).inside)
            known = [self._identity(point).items() for point in inside]
            inside += [point for point in warm_start if self._identity(point).items() not in known]
            if every := distinct_points(self.space, self.scenario):
                known = [self._identity(point).items() for point in inside]
                inside = sorted(every, key=lambda point: not any(one <= self._identity(point).items() for one in known))
            self.study.set_user_attr(POINTS, [optuna_params(self.space, point) for point in inside])
        points = self.study.user_attrs[POINTS]
        for point in points[len(self.study.get_trials(deepcopy=False)) :]:
            self.study.enqueue_trial(point)

    def _planned(self, number: int, config: RunConfig) -> TrialPlan:
        return TrialPlan(_trial_id(self.scenario, number), self.scenario.name, "search", number, config)

    def _follow(self, plan: TrialPlan, trial: optuna.trial.Trial) -> None:
        """Start accepting a trial's reports."""
        switch_epoch = plan.config.attention.switch_epoch if plan.config.attention else None
        first = self._stopping.start_of(switch_epoch) if self._stopping.unit != "epochs" else 0
        steps = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self._live[plan.trial_id] = trial
        self._first_epochs[plan.trial_id] = first
        self._reported[plan.trial_id] = max(steps, default=-1) + first

    def _tell_recorded(self, trial: FrozenTrial, record: TrialRecord, recorder: Recorder) -> None:
        """Tell a trial whose end was recorded before the driver died."""
        if trial.state == TrialState.WAITING:
            self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        live = optuna.trial.Trial(self.study, trial._trial_id)
        self._follow(self._planned(trial.number, record.config), live)
        for epoch in recorder.epochs[record.trial_id]:
            if not epoch[records.INHERITED] and epoch[recorder.metric] is not None:
                self.report(record.trial_id, epoch["epoch"], epoch[recorder.metric])
        self.tell(record.trial_id, record.status, record.summary.last_values)

    def _complete_draws(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> None:
        """Draw the missing parameters of a trial whose driver died while drawing, as they would have been drawn."""
        if TRIAL_ID in trial.user_attrs:
            return
        params = self._draws.in_place_of_a_repetition(trial.number) or self._draws.params_of(trial, trials)
        self._storage.set_trial_system_attr(trial._trial_id, FIXED_PARAMS, params)

    def _identity(self, point: Mapping[str, Scalar]) -> dict[str, Hashable]:
        return point_identity(self.space, point)

    def _let_wait(self, trial: FrozenTrial | optuna.trial.Trial) -> None:
        self._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def _trial_id(scenario: Scenario, number: int) -> str:
    return f"{scenario.name}-{number:04d}"
