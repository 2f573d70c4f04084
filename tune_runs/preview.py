"""What a search would do and cost, before anything is trained.

The numbers are computed by `preview`, drawn by `draw_preview`. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tune_runs.draws import EnqueuedPoints, points_inside
from tune_runs.early_stopping import early_stopping
from tune_runs.parameters import Scalar, shown
from tune_runs.space import SearchSpace


@dataclasses.dataclass(frozen=True)
class EpochCost:
    """Epochs of all scenarios together."""

    most: int
    """No trial is stopped early."""
    least: int
    """Early stopping ends all trials but one of each scenario at the first rung."""


@dataclasses.dataclass(frozen=True)
class ParameterLine:
    name: str
    range: str
    condition: str
    """When it is drawn; empty: always."""


@dataclasses.dataclass(frozen=True)
class Preview:
    """The numbers of a search."""

    space: SearchSpace
    scenarios: tuple[str, ...]
    parameters: tuple[ParameterLine, ...]
    rungs: tuple[int, ...]
    """Epochs done at which trials are compared."""
    runs_per_scenario: int
    """Trials and the plain control."""
    cost: EpochCost
    points: EnqueuedPoints
    num_cpus: float
    """CPUs here, of all nodes."""
    num_gpus: float
    """GPUs here, of all nodes."""
    concurrent: int
    """Runs that train at the same time here."""


def preview(space: SearchSpace, nodes: Sequence[tuple[float, float]]) -> Preview:
    """The numbers of a search on machines with so many CPUs and GPUs each."""
    runs_per_scenario = space.num_trials + 1
    num_cpus, num_gpus = (sum(amounts) for amounts in zip(*nodes, strict=True))
    resources = space.resources.on(num_gpus)
    fitting = sum(resources.concurrent(cpus, gpus) for cpus, gpus in nodes)
    return Preview(
        space=space,
        scenarios=tuple(scenario.name for scenario in space.scenario_list),
        parameters=tuple(_parameter_line(space, name) for name in space.search),
        rungs=early_stopping(space).rungs,
        runs_per_scenario=runs_per_scenario,
        cost=epoch_cost(space),
        points=points_inside(space),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        concurrent=min(fitting, runs_per_scenario * len(space.scenarios)),
    )


def epoch_cost(space: SearchSpace) -> EpochCost:
    """The epochs that a search can cost; each scenario has one control, which trains to the last epoch."""
    first_stop = min(early_stopping(space).rungs, default=space.epochs)
    most = (space.num_trials + 1) * space.epochs
    least = 2 * space.epochs + (space.num_trials - 1) * first_stop
    return EpochCost(most=len(space.scenarios) * most, least=len(space.scenarios) * least)


def draw_preview(numbers: Preview) -> RenderableType:
    """The preview as tables and lines for a terminal."""
    parameters = Table("parameter", "range", "when", title=f"{numbers.space.name}: searched", title_justify="left")
    for line in numbers.parameters:
        parameters.add_row(Text(line.name), Text(line.range), Text(line.condition or "always"))
    facts = Table.grid(padding=(0, 2))
    for name, fact in _facts(numbers):
        facts.add_row(Text(name), Text(fact))
    return Group(parameters, facts)


def _parameter_line(space: SearchSpace, name: str) -> ParameterLine:
    parameter = space.search[name]
    conditions = (f"{parent} is {_either(allowed)}" for parent, allowed in parameter.when.items())
    return ParameterLine(name, parameter.describe(), " and ".join(conditions))


def _either(values: tuple[Scalar, ...]) -> str:
    return " or ".join(map(_written, values))


def _written(value: Scalar) -> str:
    return shown(value) if isinstance(value, float) else "null" if value is None else str(value)


def _facts(numbers: Preview) -> list[tuple[str, str]]:
    space, cost = numbers.space, numbers.cost
    count = len(numbers.scenarios)
    least = ("epochs at least", f"{cost.least:,}, one trial of each scenario past the first rung")
    used = (", ".join(f"{name} {_written(value)}" for name, value in point.items()) for point in numbers.points.inside)
    return [
        (f"{count} scenario{'s' if count > 1 else ''}", ", ".join(numbers.scenarios)),
        ("runs of each", f"{space.num_trials} trials and 1 control, {space.epochs} epochs"),
        ("chosen by", space.metric),
        ("rungs", _rungs(numbers)),
        ("epochs at most", f"{cost.most:,}"),
        *([least] if numbers.rungs else []),
        ("time budget", "none" if space.time_budget is None else f"{shown(space.time_budget)} s"),
        (
            "one run takes",
            f"{shown(space.resources.cpu)} CPU, {shown(space.resources.on(numbers.num_gpus).gpu or 0)} GPU",
        ),
        ("at once here", _concurrency(numbers)),
        *(("tried first", point) for point in used),
        *(("note", note) for note in numbers.points.notes),
    ]


def _rungs(numbers: Preview) -> str:
    space = numbers.space
    if space.asha is None:
        return "none: every trial trains to the last epoch"
    if not numbers.rungs:
        return f"none below the last epoch ({space.epochs}): every trial trains to it"
    listed = ", ".join(map(str, numbers.rungs))
    return f"after {listed} epochs; at each about 1 trial in {space.asha.reduction_factor} goes on"


def _concurrency(numbers: Preview) -> str:
    have = f"{shown(numbers.num_cpus)} CPUs, {shown(numbers.num_gpus)} GPUs"
    return f"{numbers.concurrent} ({have})" if numbers.concurrent else f"none: only {have} here"
