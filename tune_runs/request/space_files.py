"""Search spaces from YAML files, plain mappings and options, checked as a whole; and their JSON schema.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from absgd.config.dotted_keys import find_setting
from absgd.counts import plural
from absgd.errors import UserError, nearest, shown, validated
from absgd.paths import PathLike, expanded
from absgd.yaml_text import read_yaml
from tune_runs.request.space_rules import broken_space_rules
from tune_runs.request.space_settings import with_settings
from tune_runs.space.distinct_points import most_distinct_points
from tune_runs.space.model import SearchSpace
from tune_runs.space.setting_names import searchable_names, setting_of
from tune_runs.space.space_sections import current_rule

ONE_PAIR = {"pairs": 1}
"""`seeds` where a space of an earlier version, or its decisive settings, say nothing about them."""


def space_from_dict(data: object, source: str = "space") -> SearchSpace:
    """Return a checked space from plain mappings and scalars.

    Raises:
        UserError: naming `source`, the key, the rule and the value.
    """
    space = validated(SearchSpace, data, source)
    for key, message in broken_space_rules(space):
        raise UserError(f"{message} ({source}: {key})")
    if (different := most_distinct_points(space)) is not None:
        warnings.warn(
            f"the space has {plural(different, 'different point')}, each tried once: `num_trials` {space.num_trials} "
            f"becomes {different} ({source}: num_trials)",
            stacklevel=2,
        )
        space = space.model_copy(update={"num_trials": different})
    if space.trunks is not None:
        expanded(space.trunks, f"{source}: trunks")
    return space


def with_options(space: SearchSpace, options: Mapping[str, object], source: str = "command line") -> SearchSpace:
    """Return a copy with top-level keys such as `num_trials` replaced, checked as a whole.

    Raises:
        UserError: if a rule is broken.
    """
    return space_from_dict({**space.to_dict(), **options}, source)


def load_space(path_or_name: PathLike, settings: Mapping[str, object] | None = None) -> SearchSpace:
    """Return the space in a YAML file, or a shipped one by its name, such as `quickstart`.

    Args:
        path_or_name: the file, or the name.
        settings: dotted key -> value of `--set`, which replace those of the file.

    Raises:
        UserError: if there is no such file or name, it cannot be read, or a rule is broken.
    """
    if not isinstance(path_or_name, str | os.PathLike):
        raise UserError(f"expected a file or a shipped name, got {shown(path_or_name)} (space)")
    path = find_space(os.fspath(path_or_name))
    data = read_yaml(path)
    if not settings or not isinstance(data, Mapping):
        return space_from_dict(data, str(path))
    try:
        return space_from_dict(with_settings(data, settings), "--set")
    except UserError:
        space_from_dict(data, str(path))  # a fault of the file itself is named first, with its place
        raise


def find_space(path_or_name: str) -> Path:
    """Return the file of a space; an existing file takes precedence over a shipped name.

    Raises:
        UserError: listing the shipped names.
    """
    shipped = shipped_spaces()
    if path_or_name in shipped and not os.path.isfile(path_or_name):
        return shipped[path_or_name]
    if not os.path.exists(path_or_name):
        listed = ", ".join(f"`{name}`" for name in shipped)
        guess = nearest(path_or_name, shipped)
        raise UserError(f"expected a file or a shipped space ({listed}), got {path_or_name!r}{guess} (--space)")
    return Path(path_or_name)


def shipped_spaces() -> dict[str, Path]:
    """Return name -> file of the spaces that come with the package."""
    files = (Path(str(entry)) for entry in resources.files("search_spaces").iterdir())
    return {path.stem: path for path in sorted(files) if path.suffix == ".yaml"}


def space_schema() -> dict[str, Any]:
    """Return the JSON schema of a space file, for checks and completion in editors."""
    schema = SearchSpace.model_json_schema()
    search = schema["properties"]["search"]
    parameter = search.pop("additionalProperties")
    search["properties"] = {name: {**parameter, "description": _sentence(name)} for name in searchable_names()}
    search |= {"additionalProperties": False, "minProperties": 1}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _sentence(name: str) -> str:
    model, leaf = find_setting(setting_of(name))
    return model.model_fields[leaf].description or leaf


def refuse_changes(recorded: Mapping[str, Any], now: Mapping[str, Any], place: str) -> None:
    """Refuse to resume a search that would no longer be the same one.

    Args:
        recorded, now: results of `SearchSpace.decisive`.
        place: names the sources of the two.

    Raises:
        UserError: listing every difference.
    """
    if differences := list(_differences("", _with_current_names(recorded), _with_current_names(now))):
        raise UserError(
            f"a resumed search must not change; start a new one, with `--warm-start` if you like ({place}): "
            + "; ".join(differences)
        )


def _with_current_names(decisive: Mapping[str, Any]) -> dict[str, Any]:
    """Return decisive settings with what an earlier version left out, or had under another name."""
    settings = {"seeds": ONE_PAIR, **decisive}
    if isinstance(stopping := settings.get("early_stopping"), Mapping):
        settings["early_stopping"] = {**stopping, "rule": current_rule(stopping.get("rule"))}
    return settings


def _differences(key: str, recorded: object, now: object) -> Iterator[str]:
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        for name in [*recorded, *(name for name in now if name not in recorded)]:
            yield from _differences(f"{key}.{name}".lstrip("."), recorded.get(name), now.get(name))
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for index, (one, other) in enumerate(zip(recorded, now, strict=True)):
            yield from _differences(f"{key}.{index}", one, other)
    elif recorded != now:
        yield f"`{key}` was {recorded!r}, is now {now!r}"
