"""A space as a run folder records it: independent of the current folder, and of where its files were when it began.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from absgd import records
from absgd.config import merge_dotted
from absgd.config.dotted_keys import is_given, setting_value
from absgd.config.locations import (
    PATH_SETTINGS,
    Moves,
    check_places,
    data_title,
    moved,
    with_absolute_paths,
    with_default_root,
    with_moved_paths,
)
from absgd.config.needed_plugins import needed_plugins
from absgd.paths import absolute
from absgd.registry.plugin_table import PART_KINDS, PartKind
from absgd.terminal import warn
from absgd.yaml_text import read_yaml
from tune_runs.request.space_files import ONE_PAIR, space_from_dict, with_options
from tune_runs.space.model import SearchSpace
from tune_runs.space.parameters import Scalar
from tune_runs.space.space_sections import ScenarioSettings


def recorded(space: SearchSpace) -> SearchSpace:
    """Return a space with all that follows from the current folder written out: absolute paths, titles, names.

    Raises:
        UserError: if a path begins with an unknown `~user`.
    """
    parts = []
    for scenario, part in zip(space.scenario_list, space.scenarios, strict=True):
        own = with_absolute_paths({"data": part.data})["data"]
        whole = with_default_root(with_absolute_paths(merge_dotted(space.base, scenario.settings, "space")))
        if setting_value(space.base, "data.root") is None and setting_value(whole, "data.root") is not None:
            own["root"] = whole["data"]["root"]
        title = data_title(whole)
        parts.append(_part(part, scenario.name, {**own, **({} if title is None else {"title": title})}))
    trunks = None if space.trunks is None else str(absolute(space.trunks, "trunks"))
    base = with_absolute_paths(space.base)
    if plugins := _plugins_of(space):
        base["plugins"] = plugins
    return with_options(space, {"base": base, "scenarios": parts, "trunks": trunks})


def _plugins_of(space: SearchSpace) -> list[str]:
    """Return the identities of the plugins that declare parts of any run of a space."""
    further: list[tuple[PartKind, object]] = [("data", part.data.get("name")) for part in space.scenarios]
    further += [(kind, name) for kind in PART_KINDS for name in _choices(space, f"{kind}.name")]
    return needed_plugins(space.base, further)


def _choices(space: SearchSpace, name: str) -> tuple[Scalar, ...]:
    return (space.search[name].choices or ()) if name in space.search else ()


def _part(part: ScenarioSettings, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {**part.model_dump(mode="json"), "name": name, "data": dict(data)}


def load_recorded(folder: Path) -> SearchSpace:
    """Return the space that a run folder records; keys of earlier versions get their present names.

    Raises:
        UserError: if it cannot be read, or a rule is broken.
    """
    path = folder / records.SPACE_FILE
    data = read_yaml(path)
    if isinstance(data, Mapping) and isinstance(data.get("confirm"), Mapping):
        data = {**data, "confirm": _with_current_keys(data["confirm"])}
    if isinstance(data, Mapping) and "seeds" not in data:
        data = {**data, "seeds": ONE_PAIR}
    return space_from_dict(data, str(path))


def _with_current_keys(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `confirm` with `seeds` under its new name, and without `top`: one configuration is confirmed."""
    known = {key: value for key, value in given.items() if key not in ("top", "seeds")}
    return {**({"max_pairs": given["seeds"]} if "seeds" in given else {}), **known}


def recovered(space: SearchSpace, folder: Path) -> SearchSpace:
    """Return the space of a run folder, also of one that an older version wrote as it was given.

    That version named scenarios of image folders `imagefolder`, and kept relative paths; the rows of its trials have
    the absolute ones.

    Raises:
        UserError: if the table of the trials is damaged.
    """
    rows: dict[str, dict[str, Any]] | None = None
    parts = []
    for part, scenario in zip(space.scenarios, space.scenario_list, strict=True):
        name, data = part.name or scenario.name_without_title, dict(part.data)
        root = setting_value(merge_dotted(space.base, scenario.settings, "space"), "data.root")
        if root is not None and not Path(root).expanduser().is_absolute():
            if rows is None:
                found = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
                rows = {row["scenario"]: row for row in found}
            data["root"] = rows.get(name, {}).get("data_root") or root
        parts.append(_part(part, name, data))
    return with_options(space, {"scenarios": parts})


def with_moves(space: SearchSpace, moves: Moves, option: str) -> SearchSpace:
    """Return a recorded space with its paths where they are now.

    Raises:
        UserError: if there is nothing at one of them.
    """
    found = _moved_space(space, moves)
    for scenario in found.scenario_list:
        check_places(merge_dotted(found.base, scenario.settings, "space"), option)
    if found.trunks is not None and not Path(found.trunks).is_dir():
        advice = f"if it has moved, add `--moved {found.trunks}=NEW`"
        warn(f"no folder {found.trunks}: stage one is trained again; {advice} (trunks)")
    return found


def _moved_space(space: SearchSpace, moves: Moves) -> SearchSpace:
    data = [with_moved_paths({"data": part.data}, moves)["data"] for part in space.scenarios]
    changes = {
        "base": with_moved_paths(space.base, moves),
        "scenarios": [_part(part, str(part.name), own) for part, own in zip(space.scenarios, data, strict=True)],
        "trunks": None if space.trunks is None else moved(space.trunks, moves),
    }
    return with_options(space, changes)


def paths_of(space: SearchSpace) -> Iterator[str]:
    """Yield the paths of a space."""
    for settings in (space.base, *({"data": part.data} for part in space.scenarios)):
        yield from (setting_value(settings, key) for key in PATH_SETTINGS if is_given(settings, key))
    if space.trunks is not None:
        yield space.trunks


def without_places(decisive: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decisive settings of a space without its paths, titles and names, which may change with a move.

    The study of a scenario has its name, and the images are compared by themselves.

    Args:
        decisive: the result of `SearchSpace.decisive`, of this version or an earlier one.
    """
    found: dict[str, Any] = deepcopy(dict(decisive))
    parts = [part for part in (found.get("base"), *found.get("scenarios", ())) if isinstance(part, dict)]
    for part in parts:
        part.pop("name", None)
        for key in (*PATH_SETTINGS, "data.title"):
            section, leaf = key.split(".")
            if isinstance(part.get(section), dict):
                part[section].pop(leaf, None)
    return found


def filled_from(given: SearchSpace, known: SearchSpace, moves: Moves) -> SearchSpace:
    """Return a given space in which names, titles and places that it leaves out are those of the recorded one.

    So is a path at which there is nothing: a relative one means the folder in which the search began; so is `seeds`.

    Args:
        given: the space that the user gave.
        known: the recorded one, its paths where they are now.
        moves: folders that have moved since the search began.
    """
    if "seeds" not in given.model_fields_set:  # perhaps it was written for a version that had none
        given = given.model_copy(update={"seeds": known.seeds})
    if len(given.scenarios) != len(known.scenarios):
        return recorded(given)
    parts = []
    for old, part in _pairs(known, given):
        kept = {key: value for key, value in old.data.items() if key in ("title", "root") and key not in part.data}
        parts.append(_part(part, part.name or str(old.name), {**part.data, **kept}))
    found = _moved_space(recorded(with_options(given, {"scenarios": parts})), moves)
    base = _with_places_of(known.base, found.base)
    data = [_with_places_of({"data": old.data}, {"data": part.data})["data"] for old, part in _pairs(known, found)]
    parts = [_part(part, str(part.name), own) for part, own in zip(found.scenarios, data, strict=True)]
    return with_options(found, {"base": base, "scenarios": parts})


def _pairs(known: SearchSpace, given: SearchSpace) -> Iterable[tuple[ScenarioSettings, ScenarioSettings]]:
    return zip(known.scenarios, given.scenarios, strict=True)


def _with_places_of(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return given settings with the recorded path in place of each at which there is nothing."""
    found: dict[str, Any] = deepcopy(dict(given))
    for key in PATH_SETTINGS:
        section, leaf = key.split(".")
        if is_given(known, key) and is_given(given, key):
            old, new = setting_value(known, key), setting_value(given, key)
            if old is not None and new is not None and old != new and not Path(new).exists():
                warn(f"`{key}` stays {old}, as recorded: there is nothing at {new} (--space: {key})")
                found[section][leaf] = old
    return found
