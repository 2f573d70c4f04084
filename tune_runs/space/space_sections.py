"""The sections of a search space, each with its own checks: scenarios, early stopping, seeds, controls, confirmation.

`tune_runs.space.resources` has that of the resources. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from absgd.config.sections import Section
from absgd.config.setting_types import Count
from absgd.errors import broken_rule
from absgd.records import DEFAULT_MARGIN
from tune_runs.space.fields import PartialData, PartialImbalance, PartialNoise, Slug


class ScenarioSettings(Section):
    """The settings that one scenario changes in `base`: a data set, imbalance and noise, searched on its own."""

    name: Slug | None = None
    """Name in tables and files; null: from data, imbalance and noise, such as `cifar10-step-0.01` or `my_images`."""
    data: PartialData = Field(default_factory=dict)
    """Settings of `data`."""
    imbalance: PartialImbalance = Field(default_factory=dict)
    """Settings of `imbalance`."""
    noise: PartialNoise = Field(default_factory=dict)
    """Settings of `noise`."""


MAX_PAIRS = 100
"""Most seed pairs of a search; each further one is at least two runs and a control."""

StoppingRule = Literal["asha", "age", "advantage", "mean_advantage", "age_then_epoch", "median"]


def current_rule(rule: object) -> object:
    """Return the name of a stopping rule, also where an earlier version called it `epoch`."""
    return "asha" if rule == "epoch" else rule


class EarlyStoppingConfig(Section):
    rule: Annotated[StoppingRule, BeforeValidator(current_rule)] = "age_then_epoch"
    """Values compared at a rung, and when; docs/early-stopping.md has the numbers behind the default. `asha` was called
    `epoch`, which is still read."""
    reduction_factor: Annotated[int, Field(ge=2, le=2**31 - 1)] | None = None
    """About one trial in this many continues at each rung; null: 3, with several pairs of `seeds` 2. `median` has
    none."""
    grace_period: Count | None = None
    """First rung. `asha`: in epochs done, after the latest `switch_epoch`, null: one more than it. The other rules: in
    epochs since the trial's own switch, null: a twentieth of the longest stage two, at least two."""


class SeedsConfig(Section):
    pairs: Annotated[int, Field(ge=1, le=MAX_PAIRS)] = 4
    """Pairs of data seed and training seed over which a scenario is searched, that of `base.seeds` first; 1: that one
    alone. The best configurations of a pair go on to the next, where they train to the last epoch."""
    reduction_factor: Annotated[int, Field(ge=2, le=2**31 - 1)] = 3
    """About one configuration in this many goes on to each further pair, at least two; docs/seeds.md has the numbers
    behind the default."""


ControlName = Literal["base", "base-lr", "ce", "ce-lr", "ce-tau", "cb-ce-drw", "ldam-drw", "focal", "balanced-softmax"]


TunedControlName = Literal[
    "ce", "cb-ce-drw", "ce-posthoc", "ldam-drw", "focal", "balanced-softmax", "logit-adjustment", "vs"
]


class ControlsConfig(Section):
    tuned: bool = False
    """Search the settings of controls too, each with about as many epochs as the trials of a scenario train; the best
    of each is confirmed as `NAME-tuned`."""
    methods: Annotated[tuple[TunedControlName, ...], Field(strict=False)] = get_args(TunedControlName)
    """The controls that are tuned; docs/confirmation.md says over what."""


class ConfirmConfig(Section):
    max_pairs: Count = 12
    """Most fresh pairs of a data seed and a training seed; a pair is added only while a comparison is undecided."""
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] = DEFAULT_MARGIN
    """Difference in points, hundredths of the metric's unit, below which two methods are as good as equal."""
    controls: Annotated[tuple[ControlName, ...], Field(strict=False)] = get_args(ControlName)
    """Methods to compare with, given the settings of the best configuration; docs/confirmation.md explains each."""
    epoch_budget: Count | None = None
    """Epochs that the confirmation of each scenario may train; a pair starts only if it fits; null: no bound."""

    predictions: bool = True
    """Whether each run keeps its predictions on validation and test images in `predictions/`."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_new_keys(cls, data: object) -> object:
        for key, message in _RENAMED.items():
            if isinstance(data, Mapping) and key in data:
                raise broken_rule(key, message)
        return data


_RENAMED = {
    "top": "unknown key `top`: the seeds of the search choose one configuration, and that one is confirmed",
    "seeds": "unknown key `seeds`; it is now `max_pairs`, the most fresh pairs of seeds",
}
"""Keys of `confirm` in earlier versions -> what became of them."""
