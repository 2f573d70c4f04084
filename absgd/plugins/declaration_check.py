"""A check of the parts that a plugin declares, before they are added to the tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from absgd.errors import UserError, shown
from absgd.plugins.declarations import Options, PartDeclaration
from absgd.registry.dataset_table import Crop, DatasetSpec
from absgd.registry.loss_table import ATTENTION_PREFIX


def check_declaration(part: PartDeclaration, plugin: str) -> None:
    """Refuse a part with arguments of its decorator that nothing can be built from.

    Args:
        part: the part.
        plugin: name of the plugin.

    Raises:
        UserError: naming the first argument that breaks a rule.
    """
    for expected, got in _problems(part):
        raise UserError(f"expected {expected}, got {got} (plugin `{plugin}`)")


def _problems(part: PartDeclaration) -> Iterator[tuple[str, str]]:
    """Yield rule and value for each argument that breaks a rule."""
    name, spec = part.name, part.spec
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        yield "a name of small letters, digits and `_`", shown(name)
    elif part.kind == "loss" and name.startswith(ATTENTION_PREFIX):
        yield f"a loss name that does not begin with `{ATTENTION_PREFIX}`", f"`{name}`"
    whose = f"of {part.kind} `{name}`"
    yield from _option_problems(spec.options, whose)
    if isinstance(spec, DatasetSpec):
        yield from _data_problems(spec, whose)


def _option_problems(options: Any, whose: str) -> Iterator[tuple[str, str]]:
    if options is None:
        return
    if not (isinstance(options, type) and issubclass(options, Options)):
        yield "`options` to be a subclass of absgd.plugins.Options", repr(options)
        return
    for name, field in options.model_fields.items():
        if not _is_scalar(field.annotation):
            wanted = f"option `{name}` {whose} to be of type bool, int, float, str or a Literal, or None"
            yield wanted, str(field.annotation)
        if field.validation_alias is not None:
            yield f"option `{name}` {whose} without an alias", shown(field.validation_alias)


def _is_scalar(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return all(map(_is_scalar, get_args(annotation)))
    return get_origin(annotation) is Literal or annotation in (bool, int, float, str, NoneType)


def _data_problems(spec: DatasetSpec, whose: str) -> Iterator[tuple[str, str]]:
    for name, least in (("num_classes", 2), ("channels", 1), ("side", 1), ("pad", 0)):
        if not _is_whole(value := getattr(spec, name), least):
            yield f"`{name}` {whose} to be a whole number >= {least}", shown(value)
            return
    if spec.channels not in (1, 3):
        yield f"`channels` {whose} to be 1 or 3", shown(spec.channels)
    for name in ("mean", "std"):
        values = getattr(spec, name)
        if not all(map(_is_finite, values)):
            yield f"`{name}` {whose} to be finite numbers", shown(values)
        elif name == "std" and min(values) <= 0:
            yield f"`std` {whose} > 0", shown(values)
    if spec.crop not in get_args(Crop):
        yield f"`crop` {whose} out of {', '.join(get_args(Crop))}", shown(spec.crop)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
