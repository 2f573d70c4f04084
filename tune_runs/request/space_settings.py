"""Values at dotted keys of a space, such as `base.optimizer.lr`, put into the plain mappings of its file.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from absgd.errors import UserError
from tune_runs.space.parameters import Parameter
from tune_runs.space.setting_names import searchable_names


def with_settings(space: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a space as plain mappings with values replaced; keys are not checked, except for places in lists.

    >>> with_settings({"search": {"lam": {"low": 1, "high": 9}}}, {"search.lam.low": 2, "search.optimizer.lr.low": 1})
    {'search': {'lam': {'low': 2, 'high': 9}, 'optimizer.lr': {'low': 1}}}

    Args:
        space: as YAML gives it.
        settings: dotted key -> value, in the order in which they are put in; `scenarios.0.data` is in the first
            scenario.

    Raises:
        UserError: if a list has no such place.
    """
    found: dict[str, Any] = deepcopy(dict(space))
    for key, value in settings.items():
        *parents, leaf = _path(key)
        node: Any = found
        for parent in parents:
            place = _place(node, parent, key)
            if not isinstance(node, list) and not isinstance(node.get(place), dict | list):
                node[place] = {}
            node = node[place]
        node[_place(node, leaf, key)] = value
    return found


def _path(key: str) -> list[str]:
    """Return the keys on the way to a value: names of parameters have dots themselves."""
    first, *rest = key.split(".")
    if first == "enqueue" and len(rest) > 1:
        return [first, rest[0], ".".join(rest[1:])]
    if first != "search" or not rest:
        return [first, *rest]
    length = next((end for end in range(len(rest), 0, -1) if ".".join(rest[:end]) in searchable_names()), len(rest))
    if length == len(rest) > 1 and ".".join(rest) not in searchable_names() and rest[-1] in Parameter.model_fields:
        length -= 1
    name, inner = ".".join(rest[:length]), rest[length:]
    if inner[:1] == ["when"] and len(inner) > 1:
        inner = ["when", ".".join(inner[1:])]
    return [first, name, *inner]


def _place(node: Any, name: str, key: str) -> Any:
    """Return a key of a mapping, or a place in a list."""
    if not isinstance(node, list):
        return name
    if not (name.isdecimal() and name.isascii() and int(name) < len(node)):
        raise UserError(f"expected a place below {len(node)}, the number of entries, got `{name}` (--set: {key})")
    return int(name)
