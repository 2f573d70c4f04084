"""The rules between the fields of a search space; those of `search` alone are in `tune_runs.request.parameter_rules`.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from absgd.config import RunConfig
from absgd.config.dotted_keys import is_given, setting_value
from absgd.errors import broken_rules, nearest
from absgd.records import ABSGD_SUFFIX, is_fraction
from tune_runs.request.parameter_rules import broken_search_rules
from tune_runs.space.boundary import boundary_runs, covers_every_combination
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Scalar, numeral
from tune_runs.space.run_configs import active_values
from tune_runs.space.setting_names import SHORT_NAMES, setting_of
from tune_runs.space.space_sections import ControlsConfig
from tune_runs.stopping.rungs import early_stopping


def broken_space_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    """Yield key and message of every rule that `space` breaks; a later rule may rely on the earlier ones."""
    yield from broken_search_rules(space.search)
    for key in ("type", "threads", "ranks"):
        if is_given(space.base, f"device.{key}"):
            value = setting_value(space.base, f"device.{key}")
            yield f"base.device.{key}", f"expected `device.{key}` to be left to `resources`, got {value!r}"
    if not space.scenarios:
        yield "scenarios", "expected at least one scenario, got an empty list"
    yield from _broken_run_rules(space)
    yield from _broken_name_rules(space)
    gpu = space.resources.gpu
    if gpu is not None and gpu > 1:
        yield "resources.gpu", f"expected `gpu` <= 1, and `gpus_per_trial` for more, got {numeral(gpu)}"
    yield from _broken_stopping_rules(space)
    yield from _broken_metric_rules(space)
    yield from _broken_control_rules(space)
    yield from _broken_confirm_rules(space)
    for index, point in enumerate(space.enqueue):
        yield from _broken_point_rules(space, f"enqueue.{index}", point)


def _broken_run_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    """Yield the rules that the boundary runs break, each at the key that the user wrote."""
    drawn: set[str] = set()
    attentive = False
    for scenario in space.scenario_list:
        for values, settings in boundary_runs(space, scenario):
            plain = is_given(settings, "attention") and settings["attention"] is None
            for name in values if plain else ():
                if name in SHORT_NAMES:
                    loss = setting_value(settings, "loss.name")
                    message = f"expected `{name}` only with losses that have attention weights, got loss `{loss}`"
                    yield f"search.{name}", message
            for key, message in _rules_broken_by(settings):
                yield _written_at(scenario, values, key), message
            drawn.update(values)
            attentive = attentive or not plain
    if space.base.get("attention") is not None and not attentive:
        yield "base.attention", "expected no `attention`, since no loss of the space has attention weights"
    never = [name for name in space.search if name not in drawn]
    if never and covers_every_combination(space.search):
        message = f"expected a condition that can hold, got one under which `{never[0]}` is never drawn"
        yield f"search.{never[0]}.when", message


def _rules_broken_by(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        RunConfig.model_validate(settings)
    except ValidationError as error:
        yield from broken_rules(error, RunConfig)


def _written_at(scenario: Scenario, values: Mapping[str, Scalar], key: str) -> str:
    searched = next((name for name in values if setting_of(name) == key), None)
    if searched is not None:
        return f"search.{searched}"
    if key == "device.ranks":
        return "resources"
    return f"scenarios.{scenario.index}.{key}" if key in scenario.settings else f"base.{key}"


def _broken_name_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    """Yield names that equal an earlier one, case ignored: names are folders, and some file systems ignore case."""
    seen: set[str] = set()
    for scenario in space.scenario_list:
        if scenario.name.lower() in seen:
            message = f"expected a `name` that no other scenario has, got `{scenario.name}`"
            yield f"scenarios.{scenario.index}.name", message
        seen.add(scenario.name.lower())
    for scenario in space.scenario_list if space.controls.tuned else ():
        if scenario.name.lower().endswith(ABSGD_SUFFIX) and scenario.name.lower().removesuffix(ABSGD_SUFFIX) in seen:
            message = f"expected a `name` that does not end in `{ABSGD_SUFFIX}`: best/{scenario.name}.yaml is taken"
            yield f"scenarios.{scenario.index}.name", message


def _broken_stopping_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    config, stopping = space.early_stopping, early_stopping(space)
    grace, switch = stopping.grace_period, stopping.latest_switch
    if config is None or grace is None:
        return
    key = "early_stopping.grace_period"
    if config.rule == "asha" and switch is not None and grace <= switch:
        yield (
            key,
            f"expected `grace_period` > the latest `switch_epoch` ({switch}), "
            f"since before the switch all trials are equal, got {grace}",
        )
    elif config.rule == "asha" and grace > space.epochs:
        yield key, f"expected `grace_period` <= `epochs` ({space.epochs}), got {grace}"
    elif config.rule != "asha" and grace > stopping.longest_stage_two:
        yield (
            key,
            f"expected `grace_period` <= {stopping.longest_stage_two}, the epochs of the longest stage two, since rule "
            f"`{config.rule}` counts from each trial's switch, got {grace}",
        )
    if config.rule == "median" and config.reduction_factor is not None:
        yield (
            "early_stopping.reduction_factor",
            f"expected no `reduction_factor` with rule `median`, got {config.reduction_factor}",
        )


def _broken_control_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    controls = space.controls
    if controls.tuned and not controls.methods:
        yield "controls.methods", "expected at least one control to tune, got an empty list"
    if len(set(controls.methods)) < len(controls.methods):
        yield "controls.methods", f"expected each control once, got {', '.join(controls.methods)}"
    if not controls.tuned and controls.methods != ControlsConfig().methods:
        yield "controls.methods", "expected `methods` only with `tuned: true`"


def _broken_metric_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    objective = space.objective
    if space.pareto_rule is None and not objective.is_pareto:
        return
    if not objective.is_pareto:
        yield "pareto_rule", f"expected no `pareto_rule` with one metric, got `{space.pareto_rule}`"
    elif objective.rule == "mean" and (loss := next((one for one in objective.metrics if not is_fraction(one)), None)):
        yield (
            "pareto_rule",
            f"expected `pareto_rule` `first` with `{loss}`, since a mean of it and a fraction has no unit, got `mean`",
        )
    if space.early_stopping is not None and space.early_stopping.rule == "median":
        yield "early_stopping.rule", "expected another rule than `median` with two metrics, which have no median"


def _broken_confirm_rules(space: SearchSpace) -> Iterator[tuple[str, str]]:
    if space.confirm is not None and is_fraction(space.objective.first) and space.confirm.margin >= 100:
        yield (
            "confirm.margin",
            f"expected `margin` < 100 points, since `{space.objective.first}` is a fraction and "
            f"no two scores differ by more, got {numeral(space.confirm.margin)}",
        )


def _broken_point_rules(space: SearchSpace, key: str, point: Mapping[str, Scalar]) -> Iterator[tuple[str, str]]:
    if not point:
        yield key, "expected at least one parameter in a point of `enqueue`, got an empty mapping"
    for name, value in point.items():
        if name not in space.search:
            yield f"{key}.{name}", f"expected a parameter of `search`, got `{name}`{nearest(name, space.search)}"
        refusal = space.search[name].refusal(value)
        if refusal is not None:
            yield f"{key}.{name}", refusal
    for name in set(point) - _active_with(space, point):
        yield f"{key}.{name}", f"expected `{name}` only in points where its `when` holds"


def _active_with(space: SearchSpace, point: Mapping[str, Scalar]) -> set[str]:
    """Return the parameters that are active in some scenario where those of `point` have its values."""

    def ask(name: str) -> Scalar:
        return point.get(name, space.search[name].branches[0][0])

    return {name for scenario in space.scenario_list for name in active_values(space, scenario, ask)}
