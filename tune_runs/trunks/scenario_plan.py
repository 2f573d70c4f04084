"""The plain control of each scenario and how its trials share stage one, worked out once for a search or a preview.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from absgd.config import RunConfig
from tune_runs.space.distinct_points import num_trials_of
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.run_configs import control_config
from tune_runs.trunks.stage_one_sharing import StageOneSharing, stage_one_sharing


@dataclass(frozen=True)
class ScenarioPlan:
    """A scenario with everything that its search space alone decides about it."""

    scenario: Scenario
    control: RunConfig
    """The plain control: base and scenario on the base criterion alone."""
    sharing: StageOneSharing
    """How the trials share stage one."""
    num_trials: int
    """Search trials: `num_trials` of the space, or the different points where they are fewer."""

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return self.scenario.name


def plan_scenarios(space: SearchSpace) -> Mapping[str, ScenarioPlan]:
    """Return the plan of each scenario by its name, in the order of the space."""
    plans = {}
    for scenario in space.scenario_list:
        control = control_config(space, scenario)
        sharing = stage_one_sharing(space, scenario, control)
        plans[scenario.name] = ScenarioPlan(scenario, control, sharing, num_trials_of(space, scenario))
    return plans
