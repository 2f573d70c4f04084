"""What a run of a search is, decided before it starts; pure data, no torch, no Ray."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from absgd.config import RunConfig
from absgd.records import Phase
from tune_runs.trunks.use import TrunkUse


@dataclass(frozen=True)
class CheckpointUse:
    """Where a run leaves what it needs to go on after its process or its driver died."""

    folder: str
    """Its own; absolute."""
    metric: str
    """Of the best epoch, whose checkpoint is kept beside the last ones."""
    run_folder: str
    """Of the search, whose size `disk_budget` bounds; absolute."""
    disk_budget: int | None = None
    """Bytes; None: no bound."""
    num_writers: int = 1
    """Runs that may write at the same time."""


@dataclass(frozen=True)
class TrialPlan:
    """What a trial is."""

    trial_id: str
    scenario: str
    phase: Phase
    number: int | None
    """Of the trial in its scenario's study; None for runs outside it."""
    config: RunConfig
    trunk: TrunkUse | None = None
    """None: it shares its stage one with no other run."""
    checkpoints: CheckpointUse | None = None
    """None: once interrupted it starts again from its stage one."""
    origin: str = ""
    """Which run of which search it is, said in the rows of its snapshots."""
    candidate: str | None = None
    """Of a confirmation: what is confirmed, `best-1`, or what it is held against, `ce`."""

    @cached_property
    def stage_one_key(self) -> str:
        """Runs with the same one share stage one."""
        return self.config.stage_one_key()


def control_id(scenario: str, stage_one_key: str | None = None) -> str:
    """Trial id of a scenario's plain control, or of the plain control of another stage one in its search.

    >>> control_id("digits"), control_id("digits", "0123456789abcdef")
    ('digits-control', 'digits-control-01234567')
    """
    return f"{scenario}-control" + (f"-{stage_one_key[:8]}" if stage_one_key else "")


def images_key(scenario: str, seed_data: int) -> str:
    """What the images of a scenario, split with a data seed, are handed to nodes by."""
    return f"{scenario}/{seed_data}"


def trial_config(plan: TrialPlan) -> dict[str, Any]:
    """A plan as the plain data that Ray hands to the trainable."""
    return {
        "scenario": plan.scenario,
        "trial_id": plan.trial_id,
        "images": images_key(plan.scenario, plan.config.seeds.data),
        "run_config": plan.config.to_dict(),
        "trunk": dataclasses.asdict(plan.trunk) if plan.trunk else None,
        "checkpoints": dataclasses.asdict(plan.checkpoints) if plan.checkpoints else None,
        "origin": plan.origin,
        "reads_test": plan.phase == "confirm",
    }


def trunk_use(trial: dict[str, Any]) -> TrunkUse | None:
    """What a trial does with a trunk, from its `trial_config`."""
    return TrunkUse(**trial["trunk"]) if trial["trunk"] else None


def tested_metric(trial: dict[str, Any]) -> str | None:
    """Of a confirmation, the metric by which the epoch is chosen that is tested beside the last; None: no test."""
    uses = checkpoint_use(trial)
    return uses.metric if uses and trial["reads_test"] else None


def checkpoint_use(trial: dict[str, Any]) -> CheckpointUse | None:
    """Where a trial leaves its checkpoints, from its `trial_config`."""
    return CheckpointUse(**trial["checkpoints"]) if trial["checkpoints"] else None
