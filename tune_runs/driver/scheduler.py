"""The scheduler that Ray asks which trial starts and which is stopped; `tune_runs.stopping.stopping_rules` decides.

Ray's own ASHA is not used: it compares the metric alone, on one clock, as soon as it is reported, while most of the
rules need the plain control's value, which may come later.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from absgd import records
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace
from tune_runs.stopping.pareto_stopping import ParetoStopping
from tune_runs.stopping.rungs import early_stopping
from tune_runs.stopping.stopping_rules import ScenarioStopping
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trial.trial_reports import TrialReport, report_of
from tune_runs.tuned_controls.control_tuning import ControlTuning


class SchedulerByScenario(FIFOScheduler):  # type: ignore[misc]
    """Stops search trials that fall behind others of their scenario; controls are never stopped.

    Runs of a tuned control that train from their first epoch are compared with each other; their search decides.

    A worker process that becomes free goes to the newest of the waiting trials. Ray would give it to the oldest, whose
    own process is already starting, and end that one: where trials are shorter than such a start, about six seconds, no
    second process would ever come up.

    Every trial is compared with the scenario's own control, also where the search varies stage one and other trunks
    have their own controls: a gain over a poor stage one is no reason to keep a trial.

    Args:
        space: the search space; without early stopping no trial is stopped.
        plans: plan of each trial by Ray's trial id, kept by the searcher.
        recorder: has the values of the controls, and the epochs of earlier sessions.
        tunings: search over the settings of the controls of each scenario.
    """

    def __init__(
        self,
        space: SearchSpace,
        plans: Mapping[str, TrialPlan],
        recorder: Recorder,
        tunings: Mapping[str, ControlTuning] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self._objective, self._plans = space.objective, plans
        stopping = early_stopping(space)
        self.scenarios: dict[str, ScenarioStopping | ParetoStopping] = {}
        """Scenario -> state of its stopping rule."""
        for scenario in space.scenario_list:
            first, *others = (
                ScenarioStopping(
                    stopping, records.METRICS[metric], partial(recorder.control_value, metric, scenario.name)
                )
                for metric in space.objective.metrics
            )
            self.scenarios[scenario.name] = ParetoStopping(stopping, (first, others[0])) if others else first
        self._recorder, self._tunings = recorder, tunings
        self._tune_controller: Any = None

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the newest of the waiting trials; None when none waits."""
        self._tune_controller = tune_controller
        return next((trial for trial in reversed(tune_controller.get_trials()) if trial.status == "PENDING"), None)

    def end_processes(self) -> None:
        """End every process that trains or starts, at once.

        Tune leaves them where a second signal ends its loop, with their CPUs and GPUs: a Ray that stays connected would
        have none for the next search.
        """
        if self._tune_controller is not None:
            self._tune_controller._actor_manager.cleanup()

    def replay(self) -> None:
        """Replay the epochs of earlier sessions in the order in which they arrived, so that rungs are as they were."""
        for epoch in self._recorder.earlier_epochs():
            trial = self._recorder.trials[epoch["trial_id"]]
            values = self._objective.values_in(epoch)
            if trial.phase == "tuning" and trial.scenario in self._tunings:
                self._tunings[trial.scenario].falls_behind(trial, epoch["epoch"], values)
            if trial.phase == "search" and trial.scenario in self.scenarios and not epoch[records.INHERITED]:
                switch = trial.settings["switch_epoch"]
                self._falls_behind(trial.trial_id, trial.scenario, switch, epoch["epoch"], values)

    def on_trial_result(self, _tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial stops; epochs that a continued trial reports again are judged first."""
        plan, report = self._plans[trial.trial_id], report_of(result)
        if plan.phase not in ("search", "tuning") or report is None or report.divergence:
            return str(TrialScheduler.CONTINUE)
        switch = plan.config.attention.switch_epoch if plan.config.attention else None
        is_behind = False
        for number, values in self._own_epochs(report):
            if plan.phase == "tuning":
                record = self._recorder.trials[plan.trial_id]
                is_behind = self._tunings[plan.scenario].falls_behind(record, number, values)
            else:
                is_behind = self._falls_behind(plan.trial_id, plan.scenario, switch, number, values)
        return str(TrialScheduler.STOP if is_behind else TrialScheduler.CONTINUE)

    def _own_epochs(self, report: TrialReport) -> list[tuple[int, tuple[float, ...] | None]]:
        """Return the number and the metrics of each epoch that no other run has trained."""
        own = (epoch.record for epoch in report.epochs if not epoch.is_inherited)
        return [(one.epoch, self._objective.values_in(vars(one))) for one in own]

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its scheduler into a file that is never read back."""
        return {}

    def _falls_behind(
        self, trial_id: str, scenario: str, switch: int | None, epoch: int, values: tuple[float, ...] | None
    ) -> bool:
        if values is None:
            return False
        judge = self.scenarios[scenario]
        if isinstance(judge, ParetoStopping):
            return judge.falls_behind(trial_id, switch, epoch, values)
        return judge.falls_behind(trial_id, switch, epoch, values[0])
