"""The settings of RunConfig by name: which of them a space may search, where they stand, what they default to.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, reduce
from operator import getitem
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from absgd.config import RunConfig, setting_keys
from absgd.config.sections import AttentionConfig
from absgd.errors import nearest

SHORT_NAMES = {name: f"attention.{name}" for name in AttentionConfig.model_fields}
"""Name in a space -> setting of RunConfig, for the settings that ABSGD is about."""

_NOT_SEARCHED = {
    "epochs": "rungs and budgets count on it",
    "data": "it belongs to a scenario",
    "imbalance": "it belongs to a scenario",
    "noise": "it belongs to a scenario",
    "seeds": "a seed is drawn, not chosen",
    "device": "`resources` decide it",
}


def setting_of(name: str) -> str:
    """The setting of RunConfig that a parameter's name stands for.

    >>> setting_of("lam"), setting_of("optimizer.lr")
    ('attention.lam', 'optimizer.lr')
    """
    return SHORT_NAMES.get(name, name)


@cache
def searchable_names() -> tuple[str, ...]:
    """Every name that `search` may hold."""
    settings = [key for key in setting_keys() if key.split(".")[0] not in (*_NOT_SEARCHED, "attention")]
    return (*SHORT_NAMES, *settings)


@cache
def find_setting(key: str) -> tuple[type[BaseModel], str]:
    """The section of RunConfig that holds the setting `key`, and its name there."""
    model: type[BaseModel] = RunConfig
    *parents, leaf = key.split(".")
    for parent in parents:
        inner = section_model(model.model_fields[parent].annotation)
        assert inner is not None, f"{parent} is no section"
        model = inner
    return model, leaf


def section_model(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, also where it may be null; None for a single setting."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(section_model, get_args(annotation)) if model is not None), None)


def is_given(settings: Mapping[str, Any], key: str) -> bool:
    """Whether a partial RunConfig gives the setting at a dotted key."""
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def setting_value(settings: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key of a partial RunConfig, else its default; None where it has none."""
    if not is_given(settings, key):
        model, leaf = find_setting(key)
        default = model.model_fields[leaf].get_default(call_default_factory=True)
        return None if default is PydanticUndefined or model is AttentionConfig else default
    return reduce(getitem, key.split("."), settings)


def is_whole(key: str) -> bool:
    """Whether the setting takes whole numbers only, if it takes numbers."""
    model, leaf = find_setting(key)
    kinds = list(_types_in(model.model_fields[leaf].annotation))
    return int in kinds and float not in kinds


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _types_in(argument)


def refused_name(name: str) -> str | None:
    """Why `search` may not hold `name`; None when it may."""
    if name in searchable_names():
        return None
    if name.removeprefix("attention.") in SHORT_NAMES:
        return f"expected the short name `{name.removeprefix('attention.')}`, got `{name}`"
    reason = _NOT_SEARCHED.get(name.split(".")[0])
    if reason is not None and (name in setting_keys() or name in _NOT_SEARCHED):
        return f"`{name}` cannot be searched: {reason}"
    return f"unknown parameter `{name}`{nearest(name, searchable_names())}"
