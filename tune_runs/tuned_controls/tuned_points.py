"""The configurations that each tuned control tries: the usual settings first, the others in a drawn order.

A configuration keeps its place among the others when more are added, so a search that is extended tries further ones.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from absgd.config import RunConfig
from absgd.config.dotted_keys import setting_value
from absgd.config.sections import ClassBalanceConfig
from tune_runs.seed_pairs.pair_runs import plain_prefix
from tune_runs.space.distinct_points import num_values, value_at
from tune_runs.space.model import SearchSpace
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.setting_names import setting_of
from tune_runs.space.space_sections import TunedControlName
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuned_methods import TUNED_METHODS, TunedMethod, tuned_name

_OF_EVERY_METHOD = ("optimizer", "schedule", "augmentation", "batch_size", "model")
"""Sections whose searched settings every method has."""
_MOST_VALUES = 8
"""Values of a range that are tried; of a range with more, three."""
_MOST_STAGE_ONES = 256
LEAST_STAGE_ONES = 4
"""Plain runs on whose settings a method tries its usual ones before it varies any, where there are as many."""
_LATE = 0.8
"""Share of the epochs after which classes are reweighted where no trial of the space has a switch."""


def stage_ones(space: SearchSpace, plan: ScenarioPlan) -> list[RunConfig]:
    """Return the plain runs over the searched settings that every method has; the scenario's own control first.

    A continuous range is tried at its ends and in the middle.
    """
    values = {
        setting_of(name): _listed_values(parameter)
        for name, parameter in space.search.items()
        if name.split(".")[0] in _OF_EVERY_METHOD and name != "model.head" and not parameter.when
    }
    source = random.Random(f"{space.seed}/stage ones")
    found = dict.fromkeys(plan.control.with_values(row) for row in _combinations(values, source))
    return [plan.control, *_drawn_order(space, "stage ones", [one for one in found if one != plan.control])]


def plain_ce(control: RunConfig) -> RunConfig:
    """Return the plain run on cross entropy with the settings of a plain control, perhaps the control itself."""
    none = ClassBalanceConfig().model_dump()
    return control.with_values({**_criterion_values("ce", control), "class_balance": none})


def tuned_control_of(config: RunConfig, space: SearchSpace, plan: ScenarioPlan) -> str | None:
    """Return the name of the tuned control that tries a plain run, such as `ce-tuned`; None if none does.

    Such a run differs from the scenario's control in nothing but the method and the settings over which that is tuned.
    """
    if not space.controls.tuned:
        return None
    own = config.to_dict()
    shared = {name: own[name] for name in _OF_EVERY_METHOD}
    for name in space.controls.methods:
        method = TUNED_METHODS[name]
        if method.is_deferred or "loss.posthoc_tau" in method.values:
            continue
        base = plain_ce(plan.control) if method.criterion == "ce" else plan.control
        of_method = {key: setting_value(own, key) for key in method.values}
        if _config(method, base, 0, {**shared, **of_method}).resolved() == config.resolved():
            return tuned_name(name)
    return None


def points_of(
    name: TunedControlName,
    space: SearchSpace,
    plan: ScenarioPlan,
    plain: Sequence[RunConfig],
    trunks: Collection[RunConfig] = (),
) -> list[RunConfig]:
    """Return the configurations that a control may try, in the order in which it tries them.

    The usual settings come first, on the first plain runs; all others follow. Where a run would not fork, one epoch
    for deferred reweighting is tried.

    Args:
        name: name of the control.
        space: the search space.
        plan: plan of the scenario.
        plain: the plain runs whose settings it takes, the scenario's own control first.
        trunks: plain runs from which others fork.

    Raises:
        UserError: if the method cannot be built on a plain run of the space.
    """
    method = TUNED_METHODS[name]
    grid = {key: tuple(dict.fromkeys((_usual(space, key), *values))) for key, values in method.values.items()}
    first_epoch, *later_epochs = deferral_epochs(space, plan) if method.is_deferred else (0,)
    rows = [dict(zip(grid, row, strict=True)) for row in itertools.product(*grid.values())]
    usual = [_config(method, base, first_epoch, rows[0]) for base in plain[:LEAST_STAGE_ONES]]
    every = [_config(method, base, first_epoch, row) for base in plain for row in rows]
    later = [_config(method, base, epoch, row) for base in plain for row in rows for epoch in later_epochs]
    every += [one for one in later if plain_prefix(one)[0] in trunks]
    others = dict.fromkeys(one for one in every if one not in usual)
    return [*dict.fromkeys(usual), *_drawn_order(space, name, others)]


def deferral_epochs(space: SearchSpace, plan: ScenarioPlan) -> tuple[int, ...]:
    """Return the epochs from which classes may be reweighted: the middle, the first and the last switch of trials."""
    switches = plan.sharing.switch_epochs
    if not switches:
        return (min(space.epochs - 1, math.ceil(_LATE * space.epochs)),)
    return tuple(dict.fromkeys((switches[len(switches) // 2], switches[0], switches[-1])))


def _config(method: TunedMethod, plain: RunConfig, from_epoch: int, own: Mapping[str, Scalar]) -> RunConfig:
    values = _criterion_values(method.criterion, plain)
    if method.corrects_counts:
        values["class_balance"] = ClassBalanceConfig().model_dump()
    if method.is_deferred:
        values |= {"class_balance.type": "reweight", "class_balance.from_epoch": from_epoch}
    return plain.with_values({**values, **own})


def _criterion_values(criterion: str, plain: RunConfig) -> dict[str, Any]:
    if plain.loss.name == criterion:
        return {}
    return {"loss.name": criterion, "loss.options": {}, "loss.tce_prune_from": None, "model.head": "auto"}


def _drawn_order(space: SearchSpace, name: str, configs: Iterable[RunConfig]) -> list[RunConfig]:
    """Return configs in an order drawn from the space's seed; that of any two does not depend on the others."""

    def place(config: RunConfig) -> str:
        return hashlib.sha256(f"{space.seed}/{name}/{config.digest()}".encode()).hexdigest()

    return sorted(configs, key=place)


def _usual(space: SearchSpace, key: str) -> Scalar:
    """Return the value that the space gives to a setting, else its default; tau of a post-hoc adjustment is 1."""
    value: Scalar = setting_value(space.base, key)
    return 1.0 if key == "loss.posthoc_tau" and not value else value


def _listed_values(parameter: Parameter) -> tuple[Scalar, ...]:
    count = num_values(parameter)
    if count is not None and (count <= _MOST_VALUES or parameter.choices is not None):
        return tuple(value_at(parameter, index) for index in range(count))
    low, high = parameter.bounds
    middle = math.copysign(math.sqrt(low * high), low) if parameter.log else (low + high) / 2
    return tuple(parameter.typed(value) for value in dict.fromkeys((low, middle, high)))


def _combinations(values: Mapping[str, Sequence[Scalar]], source: random.Random) -> list[dict[str, Scalar]]:
    if math.prod(map(len, values.values())) <= _MOST_STAGE_ONES:
        return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    return [{key: source.choice(list(one)) for key, one in values.items()} for _ in range(_MOST_STAGE_ONES)]
