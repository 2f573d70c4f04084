"""The field types of a search space, each with its own check: names, metric, durations and parts of a RunConfig.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
)

from absgd.config import RunConfig
from absgd.config.dotted_keys import section_model
from absgd.config.part_options import GivenOptions
from absgd.config.sections import DataConfig, ImbalanceConfig, NoiseConfig, Section
from absgd.errors import broken_rule, nearest
from absgd.records import METRICS


class _GivenPart(Section):
    """Settings that a space gives; their descriptions come with the fields.

    Where they came from docstrings, pydantic would look for the source of each model that is made here, frame by frame
    among all imported modules: seconds of processor time once torch and Ray are imported.
    """

    model_config = ConfigDict(use_attribute_docstrings=False)


def _partial_model(model: type[BaseModel]) -> type[Section]:
    """Return `model` with every field optional: the part of a RunConfig that a space gives."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        described, section = Field(description=field.description), section_model(field.annotation)
        if declared := next((one for one in field.metadata if isinstance(one, GivenOptions)), None):
            given = Annotated[dict[str, Any], GivenOptions(declared.kind), described]
            fields[name] = (given, Field(default_factory=dict))
        elif section is None:
            default = Field(default_factory=lambda: None) if field.is_required() else field.default
            fields[name] = (Annotated[field.annotation, *field.metadata, described], default)
        else:
            inner: Any = _partial_model(section)
            kind = inner if section is field.annotation else inner | None
            fields[name] = (Annotated[kind, described], Field(default_factory=inner))
    return create_model(f"Partial{model.__name__}", __base__=_GivenPart, __doc__=model.__doc__, **fields)


if TYPE_CHECKING:
    PartialRun = dict[str, Any]
    PartialData = dict[str, Any]
    PartialImbalance = dict[str, Any]
    PartialNoise = dict[str, Any]
else:

    def _partial_settings(model: type[BaseModel]) -> Any:
        """Return a field type that is checked as a part of `model` and keeps the given settings as a plain mapping."""
        as_given = AfterValidator(lambda part: part.model_dump(mode="json", exclude_unset=True))
        return Annotated[_partial_model(model), as_given, PlainSerializer(lambda settings: settings)]

    PartialRun = _partial_settings(RunConfig)
    PartialData, PartialImbalance = _partial_settings(DataConfig), _partial_settings(ImbalanceConfig)
    PartialNoise = _partial_settings(NoiseConfig)


MAX_DATA_WORD = 32
"""Most characters that the name of the data has in the name of a scenario."""
_SLUG = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"


def _slug(value: str) -> str:
    if re.fullmatch(_SLUG, value):
        return value
    raise broken_rule("", f"expected 1 to 64 letters, digits, `.`, `_` or `-`, not starting with `.`, got {value!r}")


def slug(text: str) -> str:
    """Return a text as the beginning of a name of a scenario; empty if nothing of it can be in one.

    >>> slug("Möbel (2024)"), slug("犬")
    ('Mobel_2024', '')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")[:MAX_DATA_WORD]


MOST_METRICS = 2
"""Most metrics of a search: with more, few trials are behind another one in all of them."""


def _one_or_two_metrics(value: object) -> str | tuple[str, ...]:
    """Return the name of a metric, or two names; a list of one is that one."""
    if not isinstance(value, list | tuple):
        return _known_metric(value)
    names = tuple(_known_metric(name) for name in value)
    if not 1 <= len(names) <= MOST_METRICS:
        why = "; with more of them hardly any trial is behind another one in all" if names else ""
        raise broken_rule("", f"expected `metric` to be one metric or a list of two, got {len(names)}{why}")
    if len(set(names)) < len(names):
        raise broken_rule("", f"expected two different metrics, got `{names[0]}` twice")
    return names if len(names) > 1 else names[0]


def _known_metric(value: object) -> str:
    if isinstance(value, str) and value in METRICS:
        return value
    listed = ", ".join(f"`{name}`" for name in METRICS)
    raise broken_rule("", f"expected `metric` to be one of {listed}, got {value!r}{nearest(str(value), METRICS)}")


def duration_s(value: object) -> float | None:
    """Return the seconds of a time budget, given as a number or as text such as `90s`, `30m`, `12h` or `2d`.

    >>> duration_s("1.5h")
    5400.0
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", value) if isinstance(value, str) else None
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else value
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e15:
        raise broken_rule("", f"expected seconds > 0, or text such as `90s`, `30m` or `12h`, got {value!r}")
    return float(seconds)


Slug = Annotated[str, AfterValidator(_slug), WithJsonSchema({"type": "string", "pattern": f"^{_SLUG}$"})]
_METRIC_SCHEMA: dict[str, Any] = {"type": "string", "enum": list(METRICS)}
_METRICS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        _METRIC_SCHEMA,
        {"type": "array", "items": _METRIC_SCHEMA, "minItems": 1, "maxItems": MOST_METRICS, "uniqueItems": True},
    ]
}
OneOrTwoMetrics = Annotated[
    str | tuple[str, ...], BeforeValidator(_one_or_two_metrics), WithJsonSchema(_METRICS_SCHEMA)
]
_DURATION_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^\d+(\.\d+)?[smhd]?$"},
        {"type": "null"},
    ]
}
Duration = Annotated[float | None, BeforeValidator(duration_s), WithJsonSchema(_DURATION_SCHEMA)]
