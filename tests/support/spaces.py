"""A small space for tests, and variations of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from absgd.errors import UserError
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.preview.search_preview import SearchPreview, preview_search
from tune_runs.request.space_files import space_from_dict
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan, plan_scenarios

SPACE: dict[str, Any] = {
    "name": "mine",
    "base": {"data": {"name": "digits"}, "model": {"name": "resnet8"}, "epochs": 16},
    "search": {
        "lam": {"low": 0.5, "high": 50, "log": True},
        "gamma": {"low": 0.1, "high": 1.0},
        "ab_alpha": {"low": 0.1, "high": 1.0},
        "switch_epoch": {"low": 8, "high": 12},
    },
    "num_trials": 4,
    "seeds": {"pairs": 1},
    "confirm": None,
}


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Return SPACE with the values at slash-separated paths replaced."""
    data = copy.deepcopy(SPACE)
    for path, value in changes.items():
        *parents, leaf = path.split("/")
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return data


def make(changes: dict[str, Any] | None = None) -> SearchSpace:
    return space_from_dict(changed(changes or {}), "x.yaml")


def first_plan(space: SearchSpace) -> ScenarioPlan:
    """Return the plan of the first scenario of a space."""
    return next(iter(plan_scenarios(space).values()))


def preview_of(
    space: SearchSpace, nodes: Sequence[tuple[float, float]], times: Mapping[str, EpochTime] | None = None
) -> SearchPreview:
    """Return the preview of a space, with plans made for it alone."""
    return preview_search(space, plan_scenarios(space), nodes, times)


def refusal(changes: dict[str, Any]) -> str:
    """Return the message with which the changed space is refused."""
    with pytest.raises(UserError) as error:
        make(changes)
    return str(error.value)
