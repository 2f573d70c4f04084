"""The boundary of a search space: the runs at the ends of every range, with every choice.

Rules between settings are checked on these runs, and the latest switch epoch is found among them.
Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from absgd.config import RunConfig
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.run_configs import active_values, run_settings

_MAX_COMBINATIONS = 256  # of choices; beyond this, a fixed random sample of them is used


class BoundaryRun(NamedTuple):
    """A run at the boundary of a search space."""

    values: dict[str, Scalar]
    """Parameter -> value of every active parameter."""
    settings: dict[str, Any]
    """Settings of its RunConfig, which may still break rules between settings."""


def boundary_runs(space: SearchSpace, scenario: Scenario) -> Iterator[BoundaryRun]:
    """Yield the runs at both ends of every range, with every choice: of each pair the low end first."""
    for branches in _combinations(space.search):
        for end in (0, 1):
            values = active_values(space, scenario, partial(_value_at_end, branches, end))
            yield BoundaryRun(values, run_settings(space, scenario, values))


def unused_settings(space: SearchSpace) -> list[str]:
    """Return a sentence for each setting that the space gives but that has no effect in any boundary run."""
    said = [
        set(RunConfig.from_dict(settings).unused_settings())
        for scenario in space.scenario_list
        for _, settings in boundary_runs(space, scenario)
    ]
    return sorted(set.intersection(*said))


def _combinations(search: Mapping[str, Parameter]) -> Iterator[dict[str, tuple[Scalar, Scalar]]]:
    """Yield a branch for each parameter: every combination, or where there are too many, each branch and a sample."""
    options = [parameter.branches for parameter in search.values()]
    rows: Iterable[Iterable[tuple[Scalar, Scalar]]] = itertools.product(*options)
    if not covers_every_combination(search):
        source = random.Random(0)
        each = ([option[k % len(option)] for option in options] for k in range(max(map(len, options))))
        rows = itertools.chain(each, ([source.choice(option) for option in options] for _ in range(_MAX_COMBINATIONS)))
    for row in rows:
        yield dict(zip(search, row, strict=True))


def covers_every_combination(search: Mapping[str, Parameter]) -> bool:
    """Whether `boundary_runs` covers every combination of choices, not only a sample."""
    return math.prod(len(parameter.branches) for parameter in search.values()) <= _MAX_COMBINATIONS


def _value_at_end(branches: Mapping[str, tuple[Scalar, Scalar]], end: int, name: str) -> Scalar:
    return branches[name][end]
