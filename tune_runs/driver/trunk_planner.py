"""Plans of the trunks of a scenario's search: the controls that train them, and the trials that fork from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from absgd.config import RunConfig
from absgd.records import control_id
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.identity import has_snapshots
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.trunk_use import TrunkUse, fork_epoch
from tune_runs.tuned_controls.control_tuning import ControlTuning


class TrunkPlanner:
    """Makes the plans of a scenario's controls and forks.

    Args:
        scenario: plan of the scenario.
        folder: folder of its trunks.
        images: gives the fingerprint of what a trunk learns from.
        tuning: the tuned controls that fork from plain ones, or are such.
    """

    def __init__(
        self,
        scenario: ScenarioPlan,
        folder: Path,
        images: ScenarioImages,
        tuning: ControlTuning,
    ) -> None:
        self._scenario, self._folder, self._images = scenario, folder, images
        self._candidate_of = tuning.candidate_of
        self._sharing, self._control = scenario.sharing, scenario.control
        forks = {*tuning.plan.fork_epochs, *(self._sharing.fork_epochs if self._sharing.shares else ())}
        self._due = (*sorted(forks), self._control.epochs) if forks else ()

    @property
    def own_config(self) -> RunConfig:
        """Config of the scenario's plain control."""
        return self._control

    def own_control(self) -> TrialPlan:
        """Return the plan of the scenario's plain control."""
        return self.control_from(self._control)

    def control_from(self, config: RunConfig) -> TrialPlan:
        """Return the plan of the plain control that trains `config`, the stage one of a trial."""
        is_own = config.stage_one_key() == self._control.stage_one_key()
        trial_id = control_id(self._scenario.name, None if is_own else config.stage_one_key())
        use = self._use(config, save_at=self._due) if self._due else None
        own = self._control if is_own else config
        return TrialPlan(trial_id, self._scenario.name, "control", None, own, use, candidate=self._candidate_of(own))

    def forks(self, plan: TrialPlan) -> bool:
        """Whether a trial forks from a snapshot."""
        return self._sharing.shares and fork_epoch(plan.config) > 0

    def forked(self, plan: TrialPlan) -> TrialPlan:
        """Return the plan of a trial that starts at its switch epoch."""
        return replace(plan, trunk=self._use(plan.config, start_at=fork_epoch(plan.config)))

    def has_lost(self, control: RunConfig) -> bool:
        """Whether snapshots of a finished control are gone, so that trials could not fork."""
        return self._sharing.shares and not has_snapshots(self._use(control, save_at=self._due), control.device.type)

    def _use(self, config: RunConfig, start_at: int = 0, save_at: tuple[int, ...] = ()) -> TrunkUse:
        data = self._images.fingerprint(self._scenario.name, config)
        return TrunkUse(str(self._folder), config.stage_one_key(), data, start_at, save_at)
