"""The paths and the title in a run's settings: one rule for them in all commands.

A relative path means the folder in which the command is started when a run begins; what is recorded is absolute, so a
run resumes from any folder. Paths that have moved since are replaced by their new beginning.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from absgd.config.dotted_keys import setting_value
from absgd.config.setting_types import MAX_TITLE
from absgd.errors import UserError
from absgd.paths import absolute, checked_folder, expanded
from absgd.registry.dataset_table import DATASETS

PATH_SETTINGS = ("data.root", "model.weights")
"""Settings that are paths."""
DEFAULT_ROOT = "data"
"""Folder in which the data sets that have no other place are searched without `data.root`."""

Moves = Mapping[str, str]
"""Absolute folder at the time of the record -> the folder that now has its content."""


def with_absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a partial or whole RunConfig, as plain mappings, with the paths that it gives made absolute.

    Raises:
        UserError: if a path begins with an unknown `~user`.
    """
    return _with_paths(settings, lambda path, key: str(absolute(path, key)))


def with_moved_paths(settings: Mapping[str, Any], moves: Moves) -> dict[str, Any]:
    """Return a partial or whole RunConfig with each path that it gives replaced by the place where it is now."""
    return _with_paths(settings, lambda path, _key: moved(path, moves))


def _with_paths(settings: Mapping[str, Any], change: Any) -> dict[str, Any]:
    found: dict[str, Any] = deepcopy(dict(settings))
    for key in PATH_SETTINGS:
        section, leaf = key.split(".")
        own = found.get(section)
        if isinstance(own, dict) and isinstance(own.get(leaf), str):
            own[leaf] = change(own[leaf], key)
    return found


def with_recorded_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a partial or whole RunConfig as a run records it: absolute paths, and the title that follows from them.

    Raises:
        UserError: if a path begins with an unknown `~user`.
    """
    found = with_default_root(with_absolute_paths(settings))
    title = data_title(found)
    return found if title is None else {**found, "data": {**found["data"], "title": title}}


def with_default_root(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the folder `data` as `data.root`, if they give none and the data set is searched there.

    Otherwise each process of a run would look for the data in its own current folder.
    """
    spec = DATASETS.get(str(setting_value(settings, "data.name")))
    has_root = setting_value(settings, "data.root") is not None
    if spec is None or has_root or not spec.has_files or any(Path(place).is_dir() for place in spec.found_at):
        return dict(settings)
    if not Path(DEFAULT_ROOT).is_dir():
        return dict(settings)
    return {**settings, "data": {**settings["data"], "root": str(Path(DEFAULT_ROOT).absolute())}}


def data_title(settings: Mapping[str, Any]) -> str | None:
    """Return the name of a run's data for people: `data.title`, else the name of the folder of a user's own images.

    >>> data_title({"data": {"name": "imagefolder", "root": "photos/birds"}})
    'birds'
    >>> data_title({"data": {"name": "digits"}})

    Args:
        settings: a partial or whole RunConfig, as plain mappings.
    """
    title: str | None = setting_value(settings, "data.title")
    spec = DATASETS.get(str(setting_value(settings, "data.name")))
    if title is not None or spec is None or not spec.titled_by_folder:
        return title
    return title_of_folder(str(setting_value(settings, "data.root") or DEFAULT_ROOT))


def title_of_folder(root: str) -> str | None:
    """Return the name of the folder of a user's own images, as far as it is a valid title."""
    name = absolute(root, "data.root").name
    return name[:MAX_TITLE] if name and name.isprintable() else None


def moved(path: str, moves: Moves) -> str:
    """Return a recorded path where it is now.

    >>> moved("/old/imgs/a", {"/old/imgs": "/new"}), moved("/older", {"/old": "/new"})
    ('/new/a', '/older')
    """
    for old, new in moves.items():
        if _is_inside(path, old):
            return str(Path(new) / Path(path).relative_to(old))
    return path


def warn_of_unused_moves(moves: Moves, settings: Iterable[Mapping[str, Any]], paths: Iterable[str | None] = ()) -> None:
    """Warn of each of `moves` that no recorded path begins with, and name the recorded paths.

    Args:
        moves: as `parse_moves` returns them.
        settings: partial or whole RunConfigs, as plain mappings: the recorded ones.
        paths: further recorded paths.
    """
    found = [setting_value(one, key) for one in settings for key in PATH_SETTINGS]
    recorded = sorted({str(path) for path in (*found, *paths) if path is not None})
    for old in moves:
        if not any(_is_inside(path, old) for path in recorded):
            known = f"they are {', '.join(recorded)}" if recorded else "there are none"
            warnings.warn(f"no recorded path is or begins with {old}: {known} (--moved)", stacklevel=1)


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def check_places(settings: Mapping[str, Any], option: str) -> None:
    """Check that the recorded paths of a run still exist.

    Args:
        settings: a partial or whole RunConfig, as plain mappings, with absolute paths.
        option: option that asked for the recorded run.

    Raises:
        UserError: naming the one that does not, and the option that says where it is now.
    """
    for key in PATH_SETTINGS:
        path = setting_value(settings, key)
        if path is not None and not expanded(path, key).exists():
            advice = f"if it has moved, add `--moved {path}=NEW`"
            raise UserError(f"expected {path}, as when the run began, found nothing there: {advice} ({option}: {key})")


def parse_moves(words: list[str], option: str) -> dict[str, str]:
    """Read words `OLD=NEW`, two paths.

    Raises:
        UserError: if a word is not of this form, or there is no NEW.
    """
    moves = {}
    for word in words:
        places = [place for place, sign in enumerate(word) if sign == "=" and 0 < place < len(word) - 1]
        if not places:
            raise UserError(f"expected OLD=NEW, a path as it is recorded and where it is now, got {word!r} ({option})")
        found = {place: checked_folder(absolute(word[place + 1 :], option), option) for place in places}
        place = next((place for place, path in found.items() if path.exists()), places[-1])  # a path may contain "="
        if not found[place].exists():
            raise UserError(f"expected a path that exists, found no {found[place]} ({option})")
        moves[word[:place].rstrip("/") or "/"] = str(found[place])
    return moves
