"""Early stopping: one ASHA per scenario behind one Ray scheduler; the rungs start after the latest switch.

Before the switch all trials of a scenario are equal, so a rung there would rank noise. Time is therefore counted from
the latest switch, and Ray's ASHA runs on that clock: its rungs 1, rf, rf^2, ... are the epochs that
`tune_runs.early_stopping` lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from absgd import records
from tune_runs.early_stopping import early_stopping
from tune_runs.recorder import DIVERGED, Recorder, TrialPlan
from tune_runs.space import SearchSpace

CLOCK = "epochs_since_grace"


class SchedulerByScenario(FIFOScheduler):  # type: ignore[misc]
    """Routes results of search trials to their scenario's ASHA; controls are never stopped.

    Args:
        space: the search space, with early stopping.
        plans: of each trial by Ray's trial id, kept by the searcher.
    """

    def __init__(self, space: SearchSpace, plans: Mapping[str, TrialPlan]) -> None:
        super().__init__()
        assert space.asha is not None, "a space with early stopping"
        grace_period = early_stopping(space).grace_period
        assert grace_period is not None, "early stopping has a first rung"
        self._grace_period, self._plans = grace_period, plans
        self._asha = {
            scenario.name: ASHAScheduler(
                time_attr=CLOCK,
                metric=space.metric,
                mode=records.METRICS[space.metric],
                grace_period=1,
                max_t=space.epochs + 2 - grace_period,  # one past the last epoch: a trial ends by itself
                reduction_factor=space.asha.reduction_factor,
                brackets=1,
            )
            for scenario in space.scenario_list
        }

    def replay(self, recorder: Recorder) -> None:
        """Fill the rungs as the recorded epochs of an earlier session left them."""
        for name, asha in self._asha.items():
            for row in recorder.trials.values():
                if (row["scenario"], row["phase"]) == (name, "search"):
                    past = SimpleNamespace(trial_id=row["trial_id"])
                    asha.on_trial_add(None, past)
                    for epoch in recorder.epochs[row["trial_id"]]:
                        asha.on_trial_result(None, past, self._on_clock(epoch))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Register a search trial with its scenario."""
        if asha := self._asha_of(trial):
            asha.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop or continue."""
        asha = self._asha_of(trial)
        if asha is None or DIVERGED in result:
            return str(TrialScheduler.CONTINUE)
        return str(asha.on_trial_result(tune_controller, trial, self._on_clock(result)))

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial that ended without a result."""
        if asha := self._asha_of(trial):
            asha.on_trial_remove(tune_controller, trial)

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its scheduler into a file that is never read back."""
        return {}

    def _asha_of(self, trial: Any) -> ASHAScheduler | None:
        plan = self._plans[trial.trial_id]
        return self._asha[plan.scenario] if plan.phase == "search" else None

    def _on_clock(self, result: dict[str, Any]) -> dict[str, Any]:
        return {**result, CLOCK: result["epoch"] + 2 - self._grace_period}
