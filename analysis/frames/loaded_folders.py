"""The folders that paths name, and the settings and environment stored in them."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from absgd import records
from absgd.errors import UserError, shown
from absgd.paths import PathLike
from absgd.yaml_text import parse_yaml
from analysis.frames.complaints import Complain, reason_of
from analysis.frames.confirmation_looks import RivalRows, read_confirmations
from analysis.frames.data_names import ClassNames, read_class_names

FolderKind = Literal["absgd", "ray"]


@dataclasses.dataclass(frozen=True)
class LoadedFolder:
    """A run folder with its search space and environment."""

    path: Path
    """The path as given."""
    kind: FolderKind
    """`absgd`: written by absgd-tune or absgd-train; `ray`: by a plain Ray Tune script."""
    space: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Content of space.yaml; empty if there is none."""
    class_names: ClassNames = dataclasses.field(default_factory=dict)
    """Names of the classes of each scenario, as far as they are recorded."""
    confirmations: Mapping[str, RivalRows] = dataclasses.field(default_factory=dict)
    """Scenario -> what its sequential confirmation has found about each rival; without those that have none."""
    sessions: tuple[Mapping[str, Any], ...] = ()
    """Sessions of environment.json: command, versions and hardware of each start and resume."""

    @property
    def name(self) -> str:
        """Value of the column `folder`."""
        return str(self.path)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something damaged, missing or unfinished in a folder."""

    folder: str
    text: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.text}"


def expand(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    """Return the run folders that paths name: themselves, the matches of a glob, or the run folders inside a folder.

    Raises:
        UserError: if a path does not exist, is a file, matches nothing, or is not a path at all.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable) else list(paths)
    found: dict[Path, Path] = {}
    for item in given:
        if not isinstance(item, str | os.PathLike):
            raise UserError(f"expected the path of a run folder, got {shown(item)}")
        for path in _folders(os.path.expanduser(os.fspath(item))):
            for run in _runs_inside(path):
                found.setdefault(run.resolve(), run)
    if not found:
        raise UserError("expected at least one run folder, got none")
    return list(found.values())


def _folders(text: str) -> list[Path]:
    if Path(text).is_dir():
        return [Path(text)]
    if Path(text).exists():
        raise UserError(f"expected a run folder, got the file {text}")
    matches = sorted(Path(match) for match in glob.glob(text) if Path(match).is_dir())
    if not matches:
        raise UserError(f"expected a run folder, found no {text}")
    return matches


def _runs_inside(path: Path) -> list[Path]:
    """Return the run folders inside a folder that is not one itself; else the folder."""
    if kind_of(path) is not None:
        return [path]
    return [inner for inner in sorted(path.iterdir()) if inner.is_dir() and kind_of(inner) is not None] or [path]


def kind_of(path: Path) -> FolderKind | None:
    """Return the kind of program that wrote a folder; None if it is not a run folder."""
    ours = (records.TRIALS_FILE, records.EPOCHS_FILE, records.SPACE_FILE)
    if any((path / name).is_file() for name in ours):
        return "absgd"
    return "ray" if next(path.glob("*/params.json"), None) or next(path.glob("*/result.json"), None) else None


def describe(path: Path, kind: FolderKind, complain: Complain) -> LoadedFolder:
    """Read what a folder has besides its tables of trials; a damaged file is reported and counts as absent."""
    space: Mapping[str, Any] = {}
    file = path / records.SPACE_FILE
    if file.is_file():
        try:
            data = parse_yaml(file.read_text(encoding="utf-8"), file.name)
            space = data if isinstance(data, Mapping) else {}
        except (UserError, OSError, ValueError) as error:
            complain(f"cannot read {file.name}: {reason_of(error)}")
    sessions = _sessions(path / records.ENVIRONMENT_FILE, complain)
    confirmations = read_confirmations(path, complain) if kind == "absgd" else {}
    return LoadedFolder(path, kind, space, read_class_names(path, complain), confirmations, sessions)


def _sessions(file: Path, complain: Complain) -> tuple[Mapping[str, Any], ...]:
    if not file.is_file():
        return ()
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        sessions = data["sessions"]
        return tuple(session for session in sessions if isinstance(session, Mapping))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        complain(f"cannot read {file.name}: {reason_of(error)}")
        return ()
