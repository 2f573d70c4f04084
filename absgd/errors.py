"""Errors that a user can act on: one message with the rule, the value, the file and the key."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

ModelT = TypeVar("ModelT", bound=BaseModel)


MAX_KEY_LENGTH = 200
"""Longest key of a YAML file in characters; the longest setting has 25."""
MAX_PROBLEMS = 10
"""Most broken rules in one message; a hostile file may break as many as it has lines."""
_MAX_SHOWN = 80
_SURROGATE = re.compile("[\ud800-\udfff]")
"""A character that stands for a byte of a file name that is not UTF-8, or half of a pair: no encoding can write it."""


class UserError(ValueError):
    """Raised if a request of the user cannot be met; the message is shown as it is, with exit status 2."""

    def __init__(self, message: str) -> None:
        super().__init__(encodable(message))


def encodable(text: str) -> str:
    """Return text that every message, table and file can hold: the one rule for file names that are not UTF-8.

    A byte that is not UTF-8, which Python reads as half of a surrogate pair, becomes an escape.

    >>> encodable("caf\\udce9.png")
    'caf\\\\xe9.png'
    """
    return _SURROGATE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def nearest(word: object, valid: Iterable[str]) -> str:
    """Return ``; did you mean `epochs`?`` for a misspelt word, or an empty string when no valid word is near.

    >>> nearest("epoch", ["epochs", "loss"])
    '; did you mean `epochs`?'
    """
    matches = difflib.get_close_matches(str(word), sorted(valid), n=1, cutoff=0.5)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def broken_rule(key: str, message: str) -> PydanticCustomError:
    """Return the error that a validator raises for a rule between fields; `key` is the dotted key at fault."""
    return PydanticCustomError("broken_rule", "{message}", {"message": message, "key": key})


def validated(model: type[ModelT], data: object, source: str, prefix: str = "") -> ModelT:
    """Validate `data` as an instance of `model`.

    Args:
        model: a pydantic model.
        data: plain mappings, lists and scalars, as YAML gives them.
        source: name of the source in messages, usually the file.
        prefix: dotted key of `data` in that file.

    Raises:
        UserError: with one line for each rule that `data` breaks.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = list(itertools.islice(describe_errors(error, model, source, prefix), MAX_PROBLEMS))
        more = error.error_count() - len(lines)
        rest = [f"and {more} more problem{'s' if more > 1 else ''} ({source})"] if more else []
        raise UserError("\n".join([*lines, *rest])) from None


def describe_errors(error: ValidationError, model: type[BaseModel], source: str, prefix: str = "") -> Iterator[str]:
    """Yield one line for each error: ``expected <rule>, got <value> (<source>: <key>)``."""
    for key, message in broken_rules(error, model):
        full_key = ".".join(part for part in (prefix, key) if part)
        where = f" ({source}: {full_key})" if full_key else f" ({source})"
        yield f"{message}{where}"


def broken_rules(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the dotted key and message of each error: ``expected <rule>, got <value>``."""
    for detail in error.errors(include_url=False):
        under = detail.get("ctx", {}).get("key")
        key = ".".join([*map(str, detail["loc"]), *([under] if under else [])])
        yield key, _rule_and_value(detail, model, key)


def _rule_and_value(detail: ErrorDetails, model: type[BaseModel], key: str) -> str:
    context, kind, value = detail.get("ctx", {}), detail["type"], detail["input"]
    name = f"`{key}`" if key else "the file"
    if kind == "broken_rule":
        return str(context["message"])
    if kind == "extra_forbidden":
        valid = _fields_at(model, detail["loc"][:-1])
        return f"unknown key {name}{nearest(detail['loc'][-1], valid) or f'; valid keys: {_listed(valid)}'}"
    if kind == "missing":
        return f"expected {name}, got nothing"
    if kind in ("literal_error", "unknown_part"):
        expected = context["expected"].replace("'", "`")
        options = [part.strip("' ") for part in context["expected"].replace(" or ", ", ").split(",")]
        own = "; a part of your own needs `--plugin FILE.py`" if kind == "unknown_part" else ""
        return f"expected {name} to be {expected}, got {shown(value)}{own}{nearest(value, options)}"
    if kind in _COMPARISONS:
        field, sign = _COMPARISONS[kind]
        return f"expected {name} {sign} {context[field]}, got {shown(value)}"
    if kind in _KINDS:
        return f"expected {name} to be {_KINDS[kind]}, got {shown(value)}"
    message = detail["msg"]
    return f"{name}: {message[:1].lower()}{message[1:]}, got {shown(value)}"


_COMPARISONS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}
_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "list_type": "a list",
}


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are valid at `location` inside `model`."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is not None and part in current.model_fields:
            current = _model_inside(current.model_fields[str(part)].annotation)
    return sorted(current.model_fields) if current is not None else []


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_inside(argument) for argument in get_args(annotation))
    return next((model for model in inner if model is not None), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def shown(value: object) -> str:
    """Return a value as the user would recognise it, shortened."""
    text = "nothing" if value is None else repr(value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    if isinstance(value, Mapping) and not value:
        text = "an empty mapping"
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
