"""Settings of a RunConfig by dotted key: their names, and their values in plain mappings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from operator import getitem
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from absgd.config.part_options import OPTIONS, is_option, option_keys, option_model
from absgd.config.sections import AttentionConfig, RunSections
from absgd.errors import UserError, nearest
from absgd.registry.plugin_table import PART_KINDS


@cache
def setting_keys() -> tuple[str, ...]:
    """Return the dotted key of every single setting of RunConfig, in order."""
    return tuple(_setting_keys(RunSections))


def _setting_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = section_model(field.annotation)
        yield from [name] if inner is None else (f"{name}.{key}" for key in _setting_keys(inner))


def merge_dotted(data: Mapping[str, Any], values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return `data` (a RunConfig, whole or partial, as plain mappings) with the values at dotted keys replaced.

    Raises:
        UserError: if a key names no setting of RunConfig.
    """
    merged: dict[str, Any] = json.loads(json.dumps(data))
    for key, value in values.items():
        check_key(key, source)
        *parents, leaf = key.split(".")
        node = merged
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                node[parent] = {}
            node = node[parent]
        node[leaf] = value
    return merged


def check_key(key: str, source: str) -> None:
    """Refuse a dotted key that names no setting or section of RunConfig.

    Raises:
        UserError: naming the nearest setting.
    """
    sections = {name.split(".")[0] for name in setting_keys()}
    whole = {f"{kind}.{OPTIONS}" for kind in PART_KINDS}
    if key not in setting_keys() and key not in sections and key not in whole and not is_option(key):
        valid = (*setting_keys(), *option_keys())
        raise UserError(f"unknown key `{key}`{nearest(key, valid)} ({source}: {key})")


def find_setting(key: str) -> tuple[type[BaseModel], str]:
    """Return the section of RunConfig that holds the setting `key`, and its name in that section.

    The section of an option is the model that a loaded part declares, or an empty one if no loaded part has the option.
    """
    if is_option(key):
        return option_model(key), key.split(".", 2)[2]
    return _field_of(key)


@cache
def _field_of(key: str) -> tuple[type[BaseModel], str]:
    model: type[BaseModel] = RunSections
    *parents, leaf = key.split(".")
    for parent in parents:
        inner = section_model(model.model_fields[parent].annotation)
        assert inner is not None, f"{parent} is not a section"
        model = inner
    return model, leaf


def section_model(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, which may be null; None for a single setting."""
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
    """Return the value at a dotted key of a partial RunConfig, else its default; None if it has neither."""
    if not is_given(settings, key):
        model, leaf = find_setting(key)
        if leaf not in model.model_fields:  # an option that no loaded part has
            return None
        default = model.model_fields[leaf].get_default(call_default_factory=True)
        return None if default is PydanticUndefined or model is AttentionConfig else default
    return reduce(getitem, key.split("."), settings)


def is_whole(key: str) -> bool:
    """Whether the setting takes whole numbers and no fractions."""
    model, leaf = find_setting(key)
    if leaf not in model.model_fields:
        return False
    kinds = list(_types_in(model.model_fields[leaf].annotation))
    return int in kinds and float not in kinds


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _types_in(argument)
