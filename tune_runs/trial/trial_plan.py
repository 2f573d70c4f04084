"""The plan of a run, made before it starts, and the task that its worker gets; no torch, no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from absgd.config import RunConfig
from absgd.records import Phase
from tune_runs.file_store.interface import StoreUse
from tune_runs.trunks.trunk_use import TrunkUse

_TASK = "task"
"""Key of a task in the configuration of a Ray trial."""


@dataclass(frozen=True)
class CheckpointUse:
    """Where a run saves the snapshots from which it resumes after its process or its driver died."""

    folder: str
    """Folder of the run's own snapshots; absolute path."""
    metric: str
    """Validation metric of the best epoch, whose snapshot is kept besides the last two."""
    run_folder: str
    """Folder of the search, whose size `disk_budget` bounds; absolute path."""
    disk_budget: int | None = None
    """Bytes; None: no bound."""
    num_writers: int = 1
    """Runs that may write at the same time."""


@dataclass(frozen=True)
class TrialTask:
    """Everything that the process of a trial needs to know."""

    trial_id: str
    scenario: str
    images_key: str
    """Key of its images in the image store."""
    config: RunConfig
    trunk: TrunkUse | None = None
    """The run's use of a trunk; None: it shares its stage one with no other run."""
    checkpoints: CheckpointUse | None = None
    """Place of the run's own snapshots; None: none are saved, so an interrupted run starts again from its stage one."""
    origin: str = ""
    """Names the run and its search in the rows of its snapshots."""
    reads_test: bool = False
    """Whether it is measured on the test set after its last epoch."""
    predictions: str | None = None
    """File of its predictions after the last epoch; absolute path. None: they are not kept."""
    store: StoreUse | None = None
    """The store of nodes that do not see these folders; None: every node sees them."""
    report_at: tuple[int, ...] | None = None
    """Epochs done after which it reports at once; epochs between may be reported together. None: after every epoch."""

    @property
    def tested_metric(self) -> str | None:
        """Metric that chooses the epoch tested besides the last one; None where nothing is tested."""
        return self.checkpoints.metric if self.checkpoints and self.reads_test else None

    def to_ray_config(self) -> dict[str, Any]:
        """Return the configuration of the Ray trial that carries out the task."""
        return {_TASK: self}


def task_of(ray_config: Mapping[str, Any]) -> TrialTask:
    """Return the task in the configuration of a Ray trial."""
    task: TrialTask = ray_config[_TASK]
    return task


@dataclass(frozen=True)
class TrialPlan:
    """A run of a search, as the driver knows it."""

    trial_id: str
    scenario: str
    phase: Phase
    number: int | None
    """Number of the trial in its scenario's study; None for runs outside it."""
    config: RunConfig
    trunk: TrunkUse | None = None
    """The run's use of a trunk; None: it shares its stage one with no other run."""
    checkpoints: CheckpointUse | None = None
    """Place of the run's own snapshots; None: none are saved."""
    origin: str = ""
    """Names the run and its search in the rows of its snapshots."""
    candidate: str | None = None
    """Candidate of a confirmation, such as `best-1` or its control `ce`; of other runs the tuned control whose settings
    they try, such as `ce-tuned`."""
    pair: int = 0
    """Number of its seed pair."""
    predictions: str | None = None
    """File of its predictions after the last epoch; None: they are not kept."""
    store: StoreUse | None = None
    """The store of nodes that do not see these folders; None: every node sees them."""
    report_at: tuple[int, ...] | None = None
    """Epochs done after which it reports at once; epochs between may be reported together. None: after every epoch."""

    @cached_property
    def stage_one_key(self) -> str:
        """Key that runs with the same stage one have in common."""
        return self.config.stage_one_key()

    @property
    def task(self) -> TrialTask:
        """The task of its worker."""
        return TrialTask(
            trial_id=self.trial_id,
            scenario=self.scenario,
            images_key=images_key(self.scenario, self.config.seeds.data),
            config=self.config,
            trunk=self.trunk,
            checkpoints=self.checkpoints,
            origin=self.origin,
            reads_test=self.phase == "confirm",
            predictions=self.predictions,
            store=self.store,
            report_at=self.report_at,
        )


def images_key(scenario: str, seed_data: int) -> str:
    """Return the key in the image store of a scenario's images, split with a data seed."""
    return f"{scenario}/{seed_data}"
