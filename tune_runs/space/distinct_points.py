"""The different points of a space, where it has few: a search then tries each of them once.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import cast

from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.run_configs import active_values

MOST_POINTS = 2_000
"""Points that are listed; a space with more counts as unlimited."""


def num_values(parameter: Parameter) -> int | None:
    """Return how many values a parameter can have; None: unlimited.

    >>> num_values(Parameter(low=0.1, high=0.5, step=0.1)), num_values(Parameter(low=0.1, high=0.5))
    (5, None)
    """
    if parameter.choices is not None:
        return len(parameter.choices)
    if parameter.kind == "float" and parameter.step is None:
        return None
    low, high = parameter.bounds
    steps = parameter.num_steps
    return (int(high - low if steps is None else steps) + 1) * len(parameter.sign or (1,))


def value_at(parameter: Parameter, index: int) -> Scalar:
    """Return the value at a position among the `num_values` of a parameter, as Optuna draws it.

    >>> value_at(Parameter(type="int", low=10, high=20, step=5), 2)
    20
    """
    if parameter.choices is not None:
        return cast(Scalar, parameter.choices[index])
    signs = parameter.sign or (1,)
    return parameter.typed(signs[index % len(signs)] * parameter.value_after(index // len(signs)))


def num_trials_of(space: SearchSpace, scenario: Scenario) -> int:
    """Return the number of trials of a scenario: `num_trials`, or its different points where they are fewer."""
    points = distinct_points(space, scenario)
    return space.num_trials if points is None else len(points)


def most_distinct_points(space: SearchSpace) -> int | None:
    """Return the different points of the scenario that has most, if they are fewer than `num_trials`; else None."""
    found = [distinct_points(space, scenario) for scenario in space.scenario_list]
    counts = [len(points) for points in found if points is not None]
    most = max(counts) if counts and len(counts) == len(found) else space.num_trials
    return most if most < space.num_trials else None


def distinct_points(space: SearchSpace, scenario: Scenario) -> tuple[dict[str, Scalar], ...] | None:
    """Return all points of a scenario, parameter -> value of those that are active; None: more than `num_trials`."""
    return all_points(space, scenario, min(space.num_trials, MOST_POINTS))


def all_points(space: SearchSpace, scenario: Scenario, most: int = MOST_POINTS) -> tuple[dict[str, Scalar], ...] | None:
    """Return all points of a scenario as `distinct_points` does; None: there are more than `most`."""
    if any(num_values(parameter) is None for parameter in space.search.values()):
        return None
    found = tuple(itertools.islice(_points(space, scenario), most + 1))
    return None if len(found) > most else found


def _points(space: SearchSpace, scenario: Scenario) -> Iterator[dict[str, Scalar]]:
    """Yield every point once: the last parameter that is active counts up fastest."""
    path: list[int] = []
    sizes: list[int] = []

    def ask(name: str) -> Scalar:
        place, parameter = len(sizes), space.search[name]
        sizes.append(num_values(parameter) or 0)
        if place == len(path):
            path.append(0)
        return value_at(parameter, path[place])

    while True:
        sizes.clear()
        yield active_values(space, scenario, ask)
        while path and path[-1] + 1 == sizes[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1
