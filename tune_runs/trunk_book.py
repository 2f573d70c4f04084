"""Which trunks a scenario's search has: who trains each, who forks from it, and what an earlier search left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from absgd.config import RunConfig
from absgd.errors import UserError
from tune_runs.draws import control_config
from tune_runs.plan import TrialPlan, TrunkUse, control_id, fork_epoch
from tune_runs.sharing import sharing
from tune_runs.space import Scenario, SearchSpace
from tune_runs.trunk import Snapshot, Trunk, trunk_identity


@dataclass(frozen=True)
class ControlStart:
    """A plain control that is due."""

    plan: TrialPlan
    rows: list[dict[str, Any]]
    """Epochs that snapshots of an earlier search, or of this one before an interruption, have already."""
    notes: list[str]
    """A sentence for each snapshot that cannot be used."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return len(self.rows) == self.plan.config.epochs


class TrunkBook:
    """Makes the plans of a scenario's controls and forks.

    Args:
        space: the search space.
        scenario: the scenario.
        folder: where its trunks lie.
        fingerprint: of the images that a config trains on.
        origin: which search this is.
    """

    def __init__(
        self,
        space: SearchSpace,
        scenario: Scenario,
        folder: Path,
        fingerprint: Callable[[RunConfig], str],
        origin: str,
    ) -> None:
        self._scenario, self._folder, self._fingerprint, self._origin = scenario, folder, fingerprint, origin
        self._sharing = sharing(space, scenario)
        self._control = control_config(space, scenario)

    def own_control(self) -> ControlStart:
        """The scenario's plain control."""
        return self._start(
            TrialPlan(control_id(self._scenario.name), self._scenario.name, "control", None, self._control)
        )

    def control_of(self, plan: TrialPlan) -> ControlStart:
        """The plain control that shares the stage one of a trial."""
        if plan.stage_one_key == self._control.stage_one_key():
            return self.own_control()
        trial_id = control_id(plan.scenario, plan.stage_one_key)
        return self._start(TrialPlan(trial_id, plan.scenario, "control", None, plan.config.stage_one()))

    def forks(self, plan: TrialPlan) -> bool:
        """Whether a trial starts from a snapshot."""
        return self._sharing.shares and fork_epoch(plan.config) > 0

    def forked(self, plan: TrialPlan) -> TrialPlan:
        """A trial that starts at its switch epoch."""
        return replace(plan, trunk=self._use(plan.config, fork_epoch(plan.config)))

    def _start(self, plan: TrialPlan) -> ControlStart:
        if not self._sharing.shares:
            return ControlStart(plan, [], [])
        due = (*self._sharing.fork_epochs, plan.config.epochs)
        use = self._use(plan.config, 0, due)
        trunk = Trunk(Path(use.folder), use.identity)
        missing, notes = _first_missing(trunk, due)
        usable = (found for _, found in trunk.up_to(missing) if isinstance(found, Snapshot))
        rows = next((found.rows for found in usable), [])
        return ControlStart(replace(plan, trunk=replace(use, start_at=len(rows))), rows, notes)

    def _use(self, config: RunConfig, start_at: int, save_at: tuple[int, ...] = ()) -> TrunkUse:
        data = self._fingerprint(config)
        folder = self._folder / f"{config.stage_one_key()}-{data[:8]}"
        return TrunkUse(str(folder), trunk_identity(config, data), start_at, save_at, self._origin)


def _first_missing(trunk: Trunk, due: tuple[int, ...]) -> tuple[int, list[str]]:
    """The first epoch of `due` whose snapshot is to be made, the last one when all are there; why one is unusable."""
    present = set(trunk.epochs())
    for epoch in due:
        if epoch not in present:
            return epoch, []
        try:
            trunk.load(epoch)
        except UserError as error:
            return epoch, [f"{error}: trained again"]
    return due[-1], []
