"""A search space as data: scenarios, searched parameters, budgets and early stopping.

Fields are checked one by one here; `tune_runs.space_files` also checks the rules between them and is where spaces
come from. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from absgd.config import merge_dotted
from absgd.errors import broken_rule
from absgd.records import DEFAULT_METRIC
from absgd.sections import Count, PathText, Section, Seed
from tune_runs.parameters import MAX_LISTED, Parameter, ScalarField
from tune_runs.settings import is_whole, searchable_names, setting_of, setting_value
from tune_runs.space_fields import Duration, Metric, PartialData, PartialImbalance, PartialNoise, PartialRun, Slug


class ScenarioSettings(Section):
    """What one scenario changes in `base`: one data set, imbalance and noise, searched on its own."""

    name: Slug | None = None
    """Name in tables and files; null: from its settings, such as `cifar10-step-0.01`."""
    data: PartialData = Field(default_factory=dict)
    """Settings of `data`."""
    imbalance: PartialImbalance = Field(default_factory=dict)
    """Settings of `imbalance`."""
    noise: PartialNoise = Field(default_factory=dict)
    """Settings of `noise`."""


StoppingRule = Literal["epoch", "age", "advantage", "mean_advantage", "age_then_epoch", "median"]


class EarlyStoppingConfig(Section):
    rule: StoppingRule = "age_then_epoch"
    """What is compared at a rung, and when; docs/early-stopping.md has the numbers behind the default."""
    reduction_factor: Annotated[int, Field(ge=2, le=2**31 - 1)] | None = None
    """About one trial in this many goes on at each rung; null: 3. `median` has none."""
    grace_period: Count | None = None
    """First rung. `epoch`: in epochs done, after the latest `switch_epoch`, null: one more than it. The other rules: in
    epochs since the trial's own switch, null: a twentieth of the longest stage two, at least two."""


AUTO_GPU = 0.25
"""Share of a GPU that a trial takes when the space does not say: a small ResNet does not fill one."""


LEAST_SHARE = 1e-4
"""Of a CPU or GPU: Ray counts in such parts."""


def _share(gpu: float) -> float:
    if 0 < gpu < LEAST_SHARE:
        raise broken_rule("", f"expected `gpu` to be 0 or >= {LEAST_SHARE}, got {gpu!r}")
    return gpu


class ResourcesConfig(Section):
    cpu: Annotated[float, Field(ge=LEAST_SHARE, le=1024)] = 1.0
    """CPUs of one trial, or of each of its processes; one trains on CPU with as many threads, at least one."""
    gpu: Annotated[float, Field(ge=0, le=1024), AfterValidator(_share)] | None = None
    """GPUs of one trial: a fraction lets trials share one, 0 trains on CPU; null: a quarter where there are GPUs."""
    gpus_per_trial: Annotated[int, Field(ge=1, le=1024)] | None = None
    """GPUs of one trial that takes several, a process on each, all of one node; in place of `gpu`."""
    ranks_per_trial: Annotated[int, Field(ge=1, le=1024)] = 1
    """The same on CPUs: processes of one trial that train on each batch together; only with `gpu: 0`."""

    @model_validator(mode="after")
    def _check_ranks(self) -> ResourcesConfig:
        if self.gpus_per_trial is not None and self.gpu not in (None, 1):
            message = f"expected no `gpu` beside `gpus_per_trial`: each process has one GPU, got {self.gpu:g}"
            raise broken_rule("gpu", message)
        if self.ranks_per_trial > 1 and self.gpus_per_trial is not None:
            message = f"expected no `ranks_per_trial` beside `gpus_per_trial`, got {self.ranks_per_trial}"
            raise broken_rule("ranks_per_trial", message)
        if self.ranks_per_trial > 1 and self.gpu != 0:
            gpu = "nothing" if self.gpu is None else f"{self.gpu:g}"
            message = f"expected `gpu` 0 with `ranks_per_trial`, got {gpu}; on GPUs it is `gpus_per_trial`"
            raise broken_rule("ranks_per_trial", message)
        return self

    @property
    def ranks(self) -> int:
        """Processes of a trial, each with `cpu` CPUs and at most one GPU."""
        return self.gpus_per_trial or self.ranks_per_trial

    @property
    def threads(self) -> int:
        """CPU threads of a process of a trial."""
        return max(1, int(self.cpu))

    @property
    def device(self) -> str:
        """`device.type` of a trial."""
        if self.gpus_per_trial is not None:
            return "cuda"
        return "auto" if self.gpu is None else "cuda" if self.gpu else "cpu"

    def on(self, num_gpus: float) -> ResourcesConfig:
        """A copy that says the GPUs of each process, on a machine or cluster with so many.

        >>> ResourcesConfig().on(num_gpus=2).gpu, ResourcesConfig().on(num_gpus=0).gpu
        (0.25, 0.0)
        """
        if self.gpu is not None:
            return self
        gpu = 1.0 if self.gpus_per_trial else AUTO_GPU if num_gpus else 0.0
        return self.model_copy(update={"gpu": gpu})

    def concurrent(self, num_cpus: float, num_gpus: float) -> int:
        """Trials that fit on one node at once; a fraction of a GPU is never put together from two.

        >>> ResourcesConfig(cpu=1, gpu=0.3).concurrent(num_cpus=16, num_gpus=2)
        6
        >>> ResourcesConfig(cpu=2, gpus_per_trial=4).concurrent(num_cpus=32, num_gpus=8)
        2
        """
        processes, gpu = math.floor(num_cpus / self.cpu + 1e-9), self.on(num_gpus).gpu
        if gpu:
            by_gpu = int(num_gpus) * math.floor(1 / gpu + 1e-9) if gpu < 1 else int(num_gpus // gpu)
            processes = min(processes, by_gpu)
        return processes // self.ranks

    def nearest_that_fit(self, nodes: Sequence[tuple[float, float]]) -> str:
        """What would fit on one of some nodes, each with CPUs and GPUs, where this does not; in the words of a space.

        >>> ResourcesConfig(cpu=8, gpus_per_trial=4).nearest_that_fit([(16, 2)])
        'cpu 8, gpus_per_trial 2'
        """
        given = self.on(sum(gpus for _, gpus in nodes))
        tries = [
            given.model_copy(update={"cpu": cpu, **self._with_ranks(ranks)})
            for ranks in range(self.ranks, 0, -1)
            for cpu in (self.cpu, *(float(cpus // ranks) for cpus, _ in nodes if ranks <= cpus))
        ]
        fits = [one for one in tries if any(one.concurrent(*node) for node in nodes)]
        return fits[0].words if fits else "cpu 1, gpu 0"

    def _with_ranks(self, ranks: int) -> dict[str, int]:
        return {"gpus_per_trial" if self.gpus_per_trial else "ranks_per_trial": ranks}

    @property
    def words(self) -> str:
        """What a trial asks for, in the words of a space.

        >>> ResourcesConfig(cpu=2, gpu=0, ranks_per_trial=2).words
        'cpu 2, gpu 0, ranks_per_trial 2'
        """
        if self.gpus_per_trial is not None:
            return f"cpu {self.cpu:g}, gpus_per_trial {self.gpus_per_trial}"
        several = f", ranks_per_trial {self.ranks_per_trial}" if self.ranks_per_trial > 1 else ""
        return f"cpu {self.cpu:g}, gpu {self.gpu or 0:g}{several}"


ControlName = Literal["base", "base-lr", "ce", "ce-lr", "ce-tau", "cb-ce-drw", "ldam-drw", "focal", "balanced-softmax"]


class ConfirmConfig(Section):
    top: Count = 3
    """Best configurations of each scenario, by validation, that are trained again."""
    seeds: Count = 3
    """Fresh pairs of data seed and training seed; each of these configurations and each control is trained on all."""
    controls: Annotated[tuple[ControlName, ...], Field(strict=False)] = get_args(ControlName)
    """Methods beside them, with the settings of the best configuration: docs/confirmation.md says what each is."""


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A data set with its imbalance and noise: one Optuna study."""

    name: str
    index: int
    """Place in `scenarios`."""
    settings: Mapping[str, Any]
    """Dotted settings of RunConfig that it gives on top of `base`."""


def _with_kinds(search: dict[str, Parameter]) -> dict[str, Parameter]:
    return {name: _with_kind(name, parameter) for name, parameter in search.items()}


def _with_kind(name: str, parameter: Parameter) -> Parameter:
    """A copy whose type is said: int where bounds stand for a setting that is a whole number."""
    if (
        parameter.type is None
        and parameter.choices is None
        and name in searchable_names()
        and is_whole(setting_of(name))
    ):
        return parameter.model_copy(update={"type": "int"})
    return parameter.model_copy(update={"type": parameter.kind})


class SearchSpace(Section):
    """Everything that decides one search."""

    name: Slug
    """Name of the search and of its run folder."""
    base: PartialRun = Field(default_factory=dict)
    """Settings of every run, as far as scenarios and search leave them open; what is searched and given here too
    is the value of the control and of trials whose `when` does not hold."""
    scenarios: Annotated[tuple[ScenarioSettings, ...], Field(strict=False, max_length=MAX_LISTED)] = (
        ScenarioSettings(),
    )
    """Data set x imbalance x noise: one study each."""
    search: Annotated[dict[str, Parameter], AfterValidator(_with_kinds)]
    """Parameter -> range: `lam`, `gamma`, `ab_alpha`, `switch_epoch`, or a setting such as `optimizer.lr`."""
    num_trials: Count
    """Trials of each scenario."""
    metric: Metric = DEFAULT_METRIC
    """Validation metric that decides."""
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    """When trials that fall behind are stopped; null: every trial trains to the last epoch."""
    confirm: ConfirmConfig | None = ConfirmConfig()
    """What is trained on fresh seeds when the search is done, and tested; null: nothing."""
    resources: ResourcesConfig = ResourcesConfig()
    """What one trial occupies."""
    time_budget: Duration = None
    """Wall time of a session after which no trial is started or continued; null: none."""
    epoch_budget: Count | None = None
    """Epochs of all runs together, those of earlier sessions too, after which the search ends; null: none."""
    disk_budget: Annotated[float, Field(gt=0)] | None = None
    """GiB that the run folder may hold: at it no checkpoint is written, and the search ends; null: none."""
    keep_checkpoints: Annotated[int, Field(ge=0)] = 1
    """Best trials of each scenario whose checkpoints stay when they have ended: the last two and the best epoch."""
    max_failures: Annotated[int, Field(ge=0)] = 3
    """Times that a run whose process or node was lost goes on from its last checkpoint."""
    max_equal_errors: Count = 5
    """Runs in a row that fail with the same error before their first epoch, after which the search ends."""
    seed: Seed = 0
    """Decides what the searcher draws."""
    trunks: PathText | None = None
    """Folder in which stage one is kept and looked for, shared by several runs; null: in the run folder."""
    enqueue: Annotated[tuple[dict[str, ScalarField], ...], Field(strict=False, max_length=MAX_LISTED)] = ()
    """Known good points, parameter -> value, tried first where they lie inside the space."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_new_key(cls, data: object) -> object:
        if isinstance(data, Mapping) and "asha" in data:
            message = "unknown key `asha`; it is now `early_stopping`, with the same rungs under `rule: epoch`"
            raise broken_rule("asha", message)
        return data

    def to_dict(self) -> dict[str, Any]:
        """Plain mappings that `space_from_dict` reads back to an equal space, whatever the YAML looked like."""
        return self.model_dump(mode="json")

    def decisive(self) -> dict[str, Any]:
        """What decides which trials there are and what they measure: a resumed search must not change it.

        Budgets may change, and so may the number of trials, which `--extend` raises, and what is confirmed.
        """
        settings = self.to_dict()
        del settings["resources"]["gpu"]
        return {key: value for key, value in settings.items() if key not in _NOT_DECISIVE}

    @cached_property
    def scenario_list(self) -> tuple[Scenario, ...]:
        """The scenarios in order, each with its name."""
        return tuple(_scenario(self, index, part) for index, part in enumerate(self.scenarios))

    def on(self, num_gpus: float) -> SearchSpace:
        """A copy whose trials say the GPUs they take, on a machine or cluster with so many."""
        return self.model_copy(update={"resources": self.resources.on(num_gpus)})

    @property
    def epochs(self) -> int:
        """Epochs of every run."""
        return int(setting_value(self.base, "epochs"))


BUDGETS = ("time_budget", "epoch_budget", "disk_budget", "keep_checkpoints", "max_failures", "max_equal_errors")
"""Keys of a space that bound a search, and may differ from session to session."""
_NOT_DECISIVE = (*BUDGETS, "name", "num_trials", "trunks", "confirm")


def _scenario(space: SearchSpace, index: int, part: ScenarioSettings) -> Scenario:
    sections = {"data": part.data, "imbalance": part.imbalance, "noise": part.noise}
    given = {f"{section}.{key}": value for section, inner in sections.items() for key, value in inner.items()}
    return Scenario(part.name or _default_name(merge_dotted(space.base, given, "space")), index, given)


def _default_name(settings: Mapping[str, Any]) -> str:
    """Data set, then imbalance and noise where there are such: `cifar10-step-0.01-symmetric-0.4`."""
    words = [str(setting_value(settings, "data.name"))]
    for section, amount in (("imbalance", "ratio"), ("noise", "rate")):
        kind = setting_value(settings, f"{section}.type")
        words += [] if kind == "none" else [kind, f"{setting_value(settings, f'{section}.{amount}'):g}"]
    return "-".join(words)
