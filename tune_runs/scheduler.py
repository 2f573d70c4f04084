"""Early stopping: the rules of `tune_runs.stopping_rules`, a state for each scenario, behind one Ray scheduler.

Ray's own ASHA is not used: it compares the metric alone, on one clock, as soon as it is reported, while most of the
rules need the plain control's value, which may come later.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from absgd import records
from tune_runs.draws import control_config
from tune_runs.early_stopping import early_stopping
from tune_runs.plan import TrialPlan
from tune_runs.recorder import DIVERGED, Recorder
from tune_runs.space import SearchSpace
from tune_runs.stopping_rules import ScenarioStopping


class SchedulerByScenario(FIFOScheduler):  # type: ignore[misc]
    """Stops search trials that fall behind those of their scenario; controls are never stopped.

    Every trial is held against the scenario's own control, also where the search varies stage one and other trunks
    have controls of their own: what a trial gains over a poor stage one is no reason to keep it.

    Args:
        space: the search space, with early stopping.
        plans: of each trial by Ray's trial id, kept by the searcher.
        recorder: knows the controls' values.
    """

    def __init__(self, space: SearchSpace, plans: Mapping[str, TrialPlan], recorder: Recorder) -> None:
        super().__init__()
        assert space.early_stopping is not None, "a space with early stopping"
        self._metric, self._plans = space.metric, plans
        self.scenarios = {
            scenario.name: ScenarioStopping(
                early_stopping(space),
                records.METRICS[space.metric],
                partial(recorder.control_value, scenario.name, control_config(space, scenario).stage_one_key()),
            )
            for scenario in space.scenario_list
        }
        """Scenario -> what its trials have come to."""

    def replay(self, recorder: Recorder) -> None:
        """Take over what the recorded trials of an earlier session have trained themselves."""
        for trial_id, row in recorder.trials.items():
            if row["phase"] == "search" and row["scenario"] in self.scenarios:
                for epoch in recorder.epochs[trial_id]:
                    if not epoch["inherited"]:
                        self._falls_behind(trial_id, row["scenario"], row["switch_epoch"], epoch)

    def on_trial_result(self, _tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop or continue."""
        plan = self._plans[trial.trial_id]
        if plan.phase != "search" or DIVERGED in result:
            return str(TrialScheduler.CONTINUE)
        switch = plan.config.attention.switch_epoch if plan.config.attention else None
        is_behind = self._falls_behind(plan.trial_id, plan.scenario, switch, result)
        return str(TrialScheduler.STOP if is_behind else TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its scheduler into a file that is never read back."""
        return {}

    def _falls_behind(self, trial_id: str, scenario: str, switch: int | None, epoch: Mapping[str, Any]) -> bool:
        value = epoch.get(self._metric)
        if value is None:
            return False
        return self.scenarios[scenario].falls_behind(trial_id, switch, epoch["epoch"], value)
