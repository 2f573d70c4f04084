"""The configurations that each tuned control tries, the most usual first, then in an order drawn from the space's seed.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from absgd.config import RunConfig
from absgd.config.dotted_keys import setting_value
from absgd.config.sections import ClassBalanceConfig
from tune_runs.space.distinct_points import num_values, value_at
from tune_runs.space.model import SearchSpace, TunedControlName
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.setting_names import setting_of
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuned_methods import TUNED_METHODS, TunedMethod

_OF_EVERY_METHOD = ("optimizer", "schedule", "augmentation", "batch_size", "model")
"""Sections whose searched settings every method has."""
_MOST_VALUES = 8
"""Values of a range that are tried; of a range with more, three."""
_MOST_STAGE_ONES = 256
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
    rows = _combinations(values, source)
    return list(dict.fromkeys([plan.control, *(plan.control.with_values(row) for row in rows)]))


def points_of(
    name: TunedControlName, space: SearchSpace, plan: ScenarioPlan, plain: Sequence[RunConfig]
) -> list[RunConfig]:
    """Return the configurations that a control may try, in the order in which it tries them.

    Args:
        name: name of the control.
        space: the search space.
        plan: plan of the scenario.
        plain: the plain runs whose settings it takes, the scenario's own control first.

    Raises:
        UserError: if the method cannot be built on a plain run of the space.
    """
    method = TUNED_METHODS[name]
    grid = {key: tuple(dict.fromkeys((_usual(space, key), *values))) for key, values in method.values.items()}
    deferrals = deferral_epochs(space, plan) if method.is_deferred else (0,)
    if not method.shares_trunks(plan):
        deferrals = deferrals[:1]
    every = [
        _config(method, base, from_epoch, dict(zip(grid, row, strict=True)))
        for base in plain
        for from_epoch in deferrals
        for row in itertools.product(*grid.values())
    ]
    first, *others = dict.fromkeys(every)
    random.Random(f"{space.seed}/{name}").shuffle(others)
    return [first, *others]


def deferral_epochs(space: SearchSpace, plan: ScenarioPlan) -> tuple[int, ...]:
    """Return the epochs from which classes may be reweighted: the middle, the first and the last switch of trials."""
    switches = plan.sharing.switch_epochs
    if not switches:
        return (min(space.epochs - 1, math.ceil(_LATE * space.epochs)),)
    return tuple(dict.fromkeys((switches[len(switches) // 2], switches[0], switches[-1])))


def _config(method: TunedMethod, plain: RunConfig, from_epoch: int, own: Mapping[str, Scalar]) -> RunConfig:
    values: dict[str, Any] = {}
    if plain.loss.name != method.criterion:
        values |= {
            "loss.name": method.criterion,
            "loss.tce_prune_from": None,
            "model.head": "auto",
        }
    if method.corrects_counts:
        values["class_balance"] = ClassBalanceConfig().model_dump()
    if method.is_deferred:
        values |= {"class_balance.type": "reweight", "class_balance.from_epoch": from_epoch}
    return plain.with_values({**values, **own})


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
