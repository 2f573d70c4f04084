"""The run configs that a search space yields: those of trials, of the plain control and of the enqueued points.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, cast

from absgd.config import RunConfig, merge_dotted
from absgd.config.dotted_keys import is_given, setting_value
from absgd.config.locations import with_recorded_places
from absgd.registry.loss_table import is_attentive
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Scalar
from tune_runs.space.setting_names import setting_of

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def suggested_config(space: SearchSpace, scenario: Scenario, trial: BaseTrial) -> RunConfig:
    """Return the complete config of a trial: the values that Optuna draws, on top of scenario and base.

    It includes device and threads, so that the same config trains the same run elsewhere.
    """
    settings = run_settings(space, scenario, _suggested_values(space, scenario, trial))
    return RunConfig.from_dict(settings, f"scenario {scenario.name}")


def suggested_point(space: SearchSpace, scenario: Scenario, trial: BaseTrial) -> dict[str, Hashable]:
    """Return the `point_identity` of the values that Optuna draws."""
    return point_identity(space, _suggested_values(space, scenario, trial))


def _suggested_values(space: SearchSpace, scenario: Scenario, trial: BaseTrial) -> dict[str, Scalar]:
    return active_values(space, scenario, lambda name: space.search[name].suggest(name, trial))


def point_identity(space: SearchSpace, values: Mapping[str, Scalar]) -> dict[str, Hashable]:
    """Return parameter -> identity of its value: equal for equal points, however their values were rounded."""
    return {name: space.search[name].identity(value) for name, value in values.items()}


def parameter_values_of(space: SearchSpace, scenario: Scenario, config: RunConfig) -> dict[str, Scalar]:
    """Return parameter -> value of a trial's config: the inverse of `suggested_config`."""
    settings = config.to_dict()
    return active_values(space, scenario, lambda name: setting_value(settings, setting_of(name)))


def optuna_params(space: SearchSpace, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the Optuna parameters that yield `values`, for `Study.enqueue_trial`."""
    drawn = (space.search[name].optuna_params(name, value) for name, value in values.items())
    return {name: value for params in drawn for name, value in params.items()}


def control_config(space: SearchSpace, scenario: Scenario) -> RunConfig:
    """Return the config of the plain control: base and scenario on the base criterion alone.

    A setting that only `search` supplies has the value of the first enqueued point inside the space, else its first
    choice or low end.
    """
    point = next(iter(enqueued_points(space).inside), {})

    def ask(name: str) -> Scalar:
        if is_given(space.base, setting_of(name)):
            return cast(Scalar, setting_value(space.base, setting_of(name)))
        return point.get(name, space.search[name].branches[0][0])

    settings = run_settings(space, scenario, active_values(space, scenario, ask))
    return RunConfig.from_dict(settings, f"scenario {scenario.name}").stage_one()


@dataclasses.dataclass(frozen=True)
class EnqueuedPoints:
    """The enqueued points of a space."""

    inside: tuple[dict[str, Scalar], ...]
    """Parameter -> value of each point to try, in order; `optuna_params` translates it."""
    notes: tuple[str, ...]
    """A sentence for each point that is skipped."""


def enqueued_points(space: SearchSpace) -> EnqueuedPoints:
    """Return the enqueued points that the space can draw, and why the others are skipped."""
    inside: list[dict[str, Scalar]] = []
    found: list[dict[str, Hashable]] = []
    notes: list[str] = []
    for index, given in enumerate(space.enqueue):
        point = {name: space.search[name].typed(value) for name, value in given.items()}
        outside = [name for name, value in point.items() if not space.search[name].contains(value)]
        if outside:
            ranges = space.search[outside[0]].describe()
            notes.append(f"enqueue.{index} is skipped: `{outside[0]}` {given[outside[0]]} lies outside {ranges}")
        elif point_identity(space, point) in found:
            notes.append(f"enqueue.{index} is skipped: the same point is given before")
        else:
            inside.append(point)
            found.append(point_identity(space, point))
    return EnqueuedPoints(tuple(inside), tuple(notes))


def active_values(space: SearchSpace, scenario: Scenario, ask: Callable[[str], Scalar]) -> dict[str, Scalar]:
    """Return the value that `ask` gives for every parameter whose `when` holds, in order."""
    settings = merge_dotted(space.base, scenario.settings, "space")
    values: dict[str, Scalar] = {}
    for name, parameter in space.search.items():
        if all(_holds(space, settings, values, parent, allowed) for parent, allowed in parameter.when.items()):
            values[name] = ask(name)
    return values


def _holds(
    space: SearchSpace,
    settings: Mapping[str, Any],
    values: Mapping[str, Scalar],
    parent: str,
    allowed: tuple[Scalar, ...],
) -> bool:
    if parent in space.search:
        return parent in values and values[parent] in allowed
    return setting_value(settings, setting_of(parent)) in allowed


def run_settings(space: SearchSpace, scenario: Scenario, values: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return the settings of a run: base, then scenario, then `values`, on the device that the resources give."""
    drawn = {setting_of(name): value for name, value in values.items()}
    device = {"type": space.resources.device, "threads": space.resources.threads, "ranks": space.resources.ranks}
    on_device = {f"device.{key}": value for key, value in device.items()}
    merged = merge_dotted(space.base, {**scenario.settings, **drawn, **on_device}, "space")
    settings = with_recorded_places(merged)
    if not is_attentive(str(setting_value(settings, "loss.name"))):
        settings["attention"] = None
    return settings
