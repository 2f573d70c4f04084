"""The type of `model.options`, `loss.options` and `data.options`: settings that a part of a user's own declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializeAsAny, ValidationError
from pydantic_core import CoreSchema, core_schema

from absgd.errors import broken_rule, broken_rules
from absgd.plugins.declarations import Options
from absgd.registry.plugin_table import PART_KINDS, PART_TABLES, PartKind, part_spec

NO_OPTIONS = Options()
"""Options of a part that declares none."""
OPTIONS = "options"
"""Name of the setting, in the sections that have it."""


@dataclass(frozen=True)
class GivenOptions:
    """Annotation of a mapping of options: its JSON schema lists those of all loaded parts of a kind."""

    kind: PartKind

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for model in _option_models(self.kind):
            properties |= model.model_json_schema()["properties"]
        return {"type": "object", "properties": properties, "additionalProperties": False}


@dataclass(frozen=True)
class DeclaredOptions(GivenOptions):
    """Annotation of the options of a section, checked by the model that the part of its `name` declares."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_before_validator_function(self._checked, handler(source))

    def _checked(self, value: object, info: core_schema.ValidationInfo) -> object:
        spec = part_spec(self.kind, info.data.get("name"))
        given = value.model_dump() if isinstance(value, Options) else value
        if spec is None or not isinstance(given, Mapping):
            return NO_OPTIONS if spec is None else given
        if spec.options is None:
            if given:
                raise broken_rule("", f"expected no options of {self.kind} `{info.data['name']}`, got {dict(given)!r}")
            return NO_OPTIONS
        try:
            return spec.options.model_validate(given)
        except ValidationError as error:
            key, message = next(iter(broken_rules(error, spec.options)))
            raise broken_rule(key, message) from None


DataOptions = Annotated[SerializeAsAny[Options], DeclaredOptions("data")]
ModelOptions = Annotated[SerializeAsAny[Options], DeclaredOptions("model")]
LossOptions = Annotated[SerializeAsAny[Options], DeclaredOptions("loss")]


def option_keys() -> tuple[str, ...]:
    """Return the dotted key of every option of the loaded parts, such as `model.options.width`."""
    fields = ((kind, name) for kind in PART_KINDS for model in _option_models(kind) for name in model.model_fields)
    return tuple(dict.fromkeys(f"{kind}.{OPTIONS}.{name}" for kind, name in fields))


def option_model(key: str) -> type[Options]:
    """Return the options, of a loaded part, that have the option of a dotted key; those of no part if none has."""
    kind, _, name = key.split(".", 2)
    found = (model for one in PART_KINDS if one == kind for model in _option_models(one))
    return next((model for model in found if name in model.model_fields), Options)


def is_option(key: str) -> bool:
    """Whether a dotted key names an option of a part.

    >>> is_option("model.options.width"), is_option("model.options"), is_option("model.name")
    (True, False, False)
    """
    kind, *rest = key.split(".")
    return kind in PART_KINDS and len(rest) == 2 and rest[0] == OPTIONS


def _option_models(kind: PartKind) -> Iterator[type[Options]]:
    yield from (spec.options for spec in PART_TABLES[kind].values() if spec.options is not None)
