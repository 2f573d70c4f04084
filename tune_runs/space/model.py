"""A search space as data: its sections, searched parameters and budgets, and the scenarios that it makes.

Each field is checked by itself here; `tune_runs.request.space_files` loads spaces and checks the rules between fields.
Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from absgd.config import merge_dotted
from absgd.config.dotted_keys import is_whole, setting_value
from absgd.config.locations import data_title
from absgd.config.needed_plugins import check_recorded_plugins
from absgd.config.sections import Section
from absgd.config.setting_types import Count, PathText, Seed
from absgd.errors import broken_rule
from absgd.records import DEFAULT_METRIC, ParetoRule, SearchObjective, is_fraction
from tune_runs.space.fields import (
    Duration,
    OneOrTwoMetrics,
    PartialRun,
    Slug,
    slug,
)
from tune_runs.space.parameters import MAX_LISTED, Parameter, ScalarField
from tune_runs.space.resources import ResourcesConfig
from tune_runs.space.setting_names import searchable_names, setting_of
from tune_runs.space.space_sections import (
    ConfirmConfig,
    ControlsConfig,
    EarlyStoppingConfig,
    ScenarioSettings,
    SeedsConfig,
)

TrackerName = Literal["tensorboard", "wandb", "mlflow"]


def _each_once(names: tuple[TrackerName, ...]) -> tuple[TrackerName, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise broken_rule("", f"expected each tracker once, got `{twice}` twice")
    return names


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A data set with its imbalance and noise: one Optuna study."""

    name: str
    index: int
    """Position in `scenarios`."""
    settings: Mapping[str, Any]
    """Dotted settings of RunConfig that it sets on top of `base`."""
    name_without_title: str
    """Name that it has by default in run folders of versions without `data.title`."""


def _with_kinds(search: dict[str, Parameter]) -> dict[str, Parameter]:
    return {name: _with_kind(name, parameter) for name, parameter in search.items()}


def _with_kind(name: str, parameter: Parameter) -> Parameter:
    """Return a copy with its type filled in: int where the range is that of a whole-number setting."""
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
    """Settings of every run, which scenarios and search override. A searched setting that is given here too is the
    value of the control and of trials whose `when` does not hold."""
    scenarios: Annotated[tuple[ScenarioSettings, ...], Field(strict=False, max_length=MAX_LISTED)] = (
        ScenarioSettings(),
    )
    """Data set x imbalance x noise: one study each."""
    search: Annotated[dict[str, Parameter], AfterValidator(_with_kinds)]
    """Parameter -> range: `lam`, `gamma`, `ab_alpha`, `switch_epoch`, or a setting such as `optimizer.lr`."""
    num_trials: Count
    """Trials of each scenario."""
    metric: OneOrTwoMetrics = DEFAULT_METRIC
    """Validation metric that decides; a list of two makes a Pareto search, which trades the one for the other."""
    pareto_rule: ParetoRule | None = None
    """Which trial of a Pareto search is chosen. `mean`: by the mean of its gains in both metrics; `first`: by the first
    metric; null: `mean`, or `first` where one of the two is a loss, which has another unit."""
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    """Rule that stops trials that fall behind; null: every trial trains to the last epoch."""
    seeds: SeedsConfig = SeedsConfig()
    """Further pairs of seeds on which the best configurations of the search are trained, before one is chosen."""
    controls: ControlsConfig = ControlsConfig()
    """Small searches over the settings of the controls that the best configuration is compared with."""
    confirm: ConfirmConfig | None = ConfirmConfig()
    """Configurations trained on fresh seeds, and tested, when the search is done; null: none."""
    resources: ResourcesConfig = ResourcesConfig()
    """Resources of one trial."""
    time_budget: Duration = None
    """Wall time of a session after which no trial is started or continued; null: none."""
    epoch_budget: Count | None = None
    """Epochs of all runs together, those of earlier sessions too, after which the search ends; null: none."""
    disk_budget: Annotated[float, Field(gt=0)] | None = None
    """Most GiB of the run folder: once it is full, no checkpoint is written, and the search ends; null: none."""
    keep_checkpoints: Annotated[int, Field(ge=0)] = 1
    """Best trials of each scenario whose checkpoints stay when they have ended: the last two and the best epoch."""
    max_failures: Annotated[int, Field(ge=0)] = 3
    """Times that a run whose process or node was lost resumes from its last checkpoint."""
    max_equal_errors: Count = 5
    """Runs in a row that fail with the same error before their first epoch, after which the search ends."""
    seed: Seed = 0
    """Decides what the searcher draws."""
    track: Annotated[tuple[TrackerName, ...], Field(strict=False), AfterValidator(_each_once)] = ("tensorboard",)
    """Tools that show the trials while they run: `tensorboard`, and as extras `wandb` and `mlflow`; none: an empty
    list."""
    trunks: PathText | None = None
    """Folder in which stage one is kept and found, shared by several runs; null: in the run folder."""
    enqueue: Annotated[tuple[dict[str, ScalarField], ...], Field(strict=False, max_length=MAX_LISTED)] = ()
    """Known good points, parameter -> value, tried first where they are inside the space."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_new_key(cls, data: object) -> object:
        if isinstance(data, Mapping) and "asha" in data:
            message = "unknown key `asha`; it is now `early_stopping`, with the same rungs under `rule: asha`"
            raise broken_rule("asha", message)
        return data

    @model_validator(mode="before")
    @classmethod
    def _check_plugins(cls, data: object) -> object:
        base = data.get("base") if isinstance(data, Mapping) else None
        if isinstance(base, Mapping):
            check_recorded_plugins(base.get("plugins"), "base.plugins")
        return data

    def to_dict(self) -> dict[str, Any]:
        """Return plain mappings from which `space_from_dict` builds an equal space, whatever the YAML looked like."""
        return self.model_dump(mode="json")

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide which trials there are and what they measure: a resume must not change them.

        Budgets, the number of trials, which `--extend` raises, the confirmation and what is refused may change.
        """
        settings = self.to_dict()
        for name in ("gpu", "cohort"):
            del settings["resources"][name]
        settings["base"] = _without_refusals(settings["base"])
        if self.seeds.pairs == 1:  # as in earlier versions, whose records lack the key
            del settings["seeds"]
        if not self.controls.tuned:  # likewise
            del settings["controls"]
        if self.objective.is_pareto:
            settings["pareto_rule"] = self.objective.rule
        else:
            del settings["pareto_rule"]
        settings["scenarios"] = [_without_refusals(part) for part in settings["scenarios"]]
        return {key: value for key, value in settings.items() if key not in _NOT_DECISIVE}

    @property
    def objective(self) -> SearchObjective:
        """The metrics that the search maximises or minimises."""
        if isinstance(self.metric, str):
            return SearchObjective((self.metric,))
        same_unit = all(map(is_fraction, self.metric))
        return SearchObjective(self.metric, self.pareto_rule or ("mean" if same_unit else "first"))

    @cached_property
    def scenario_list(self) -> tuple[Scenario, ...]:
        """The scenarios in order, each with its name."""
        return tuple(_scenario(self, index, part) for index, part in enumerate(self.scenarios))

    def on(self, num_gpus: float) -> SearchSpace:
        """Return a copy whose resources give the GPUs of a trial, for a machine or cluster with `num_gpus`."""
        return self.model_copy(update={"resources": self.resources.on(num_gpus)})

    @property
    def has_budget(self) -> bool:
        """Whether time, epochs or disk space may run out before the search is done."""
        return (self.time_budget, self.epoch_budget, self.disk_budget) != (None, None, None)

    @property
    def epochs(self) -> int:
        """Epochs of every run."""
        return int(setting_value(self.base, "epochs"))


BUDGETS = ("time_budget", "epoch_budget", "disk_budget", "keep_checkpoints", "max_failures", "max_equal_errors")
"""Keys of a space that bound a search, and may differ from session to session."""
_NOT_DECISIVE = (*BUDGETS, "name", "num_trials", "trunks", "confirm", "track")


def _without_refusals(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without `data.on_duplicate`, which decides whether there is a search, not what it measures."""
    if "data" not in settings:
        return settings
    return {**settings, "data": {key: value for key, value in settings["data"].items() if key != "on_duplicate"}}


def _scenario(space: SearchSpace, index: int, part: ScenarioSettings) -> Scenario:
    sections = {"data": part.data, "imbalance": part.imbalance, "noise": part.noise}
    given = {f"{section}.{key}": value for section, inner in sections.items() for key, value in inner.items()}
    settings = merge_dotted(space.base, given, "space")
    data = str(setting_value(settings, "data.name"))
    name = part.name or _default_name(slug(data_title(settings) or "") or data, settings)
    return Scenario(name, index, given, _default_name(data, settings))


def _default_name(data: str, settings: Mapping[str, Any]) -> str:
    """Return data, imbalance and noise, the last two where there are any: `cifar10-step-0.01-symmetric-0.4`."""
    words = [data]
    for section, amount in (("imbalance", "ratio"), ("noise", "rate")):
        kind = setting_value(settings, f"{section}.type")
        words += [] if kind == "none" else [kind, f"{setting_value(settings, f'{section}.{amount}'):g}"]
    return "-".join(words)
