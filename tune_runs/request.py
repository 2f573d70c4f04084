"""What a search is asked to do, and where: a new run folder, or one that is gone on with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absgd import records
from absgd.errors import UserError
from tune_runs.parameters import Scalar
from tune_runs.space import SearchSpace
from tune_runs.space_files import load_space, with_options

Points = Mapping[str, tuple[Mapping[str, Scalar], ...]]
"""Scenario -> points to try first."""


@dataclasses.dataclass(frozen=True)
class SearchRequest:
    """What is to be searched and where it is recorded."""

    space: SearchSpace
    folder: Path
    address: str | None = None
    """Of an existing Ray cluster; None starts a local Ray."""
    is_resume: bool = False
    warm_start: Points = dataclasses.field(default_factory=dict)
    """Of another search; a resumed one has them in its studies."""
    searches: bool = True
    """Whether trials are asked for; else what was found so far is confirmed."""
    confirms: bool = True
    """Whether a scenario is confirmed when its search is done, if the space says so."""

    @property
    def go_on_option(self) -> str:
        """With which it is gone on with."""
        return "--resume" if self.searches else "--confirm"

    @property
    def has_confirmation(self) -> bool:
        """Whether this session confirms: where it does nothing else, it does so whatever the space says."""
        return not self.searches or (self.confirms and self.space.confirm is not None)


class SearchInterrupted(Exception):  # noqa: N818 - names an event, not a fault
    """Ctrl-C or SIGTERM; everything finished is on disk."""


class SearchFailed(Exception):  # noqa: N818 - as above
    """The search ended before its end, and why; what is recorded can be gone on with."""


def new_request(
    space: SearchSpace, folder: Path, address: str | None = None, warm_start: Points | None = None
) -> SearchRequest:
    """A search into a new folder.

    Raises:
        UserError: if the folder exists or its parent cannot be written.
    """
    if folder.exists():
        raise UserError(
            f"{folder} exists: continue it with `--resume {folder}` or give the new run another `--name` (name)"
        )
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"expected a folder that can be written, got {parent} (--out)")
    if space.trunks:
        space = space.model_copy(update={"trunks": str(Path(space.trunks).expanduser().absolute())})
    return SearchRequest(space, folder.absolute(), address, warm_start=warm_start or {})


def resume_request(
    folder: Path,
    address: str | None = None,
    extend: int = 0,
    budgets: Mapping[str, object] | None = None,
    given: SearchSpace | None = None,
    option: str = "--resume",
) -> SearchRequest:
    """The search recorded in a folder, to go on with.

    Args:
        folder: of the run.
        address: of a Ray cluster.
        extend: trials of each scenario on top of those it was made for.
        budgets: keys of a space that bound this session, replaced.
        given: the space that the user believes it is; must be the recorded one, except that its `confirm` counts.
        option: that asked for it.

    Raises:
        UserError: if there is none, or `given` is another.
    """
    space_file = folder / records.SPACE_FILE
    if not space_file.is_file():
        raise UserError(f"expected a run folder with {records.SPACE_FILE}, found none in {folder} ({option})")
    space = load_space(str(space_file))
    if given is not None:
        refuse_changes(space.decisive(), given.decisive(), f"{space_file} and --space")
        space = space.model_copy(update={"confirm": given.confirm})
    changes = dict(budgets or {})
    if extend:
        changes["num_trials"] = space.num_trials + extend
    if changes:
        space = with_options(space, changes)
    return SearchRequest(space, folder.absolute(), address, is_resume=True)


def refuse_changes(recorded: Mapping[str, Any], now: Mapping[str, Any], place: str) -> None:
    """Refuse to go on with a search that would no longer be the same one.

    Args:
        recorded, now: what `SearchSpace.decisive` gives.
        place: where the two stand.

    Raises:
        UserError: with each difference.
    """
    if differences := list(_differences("", recorded, now)):
        raise UserError(
            f"a resumed search must not change; start a new one, with `--warm-start` if you like ({place}): "
            + "; ".join(differences)
        )


def _differences(key: str, recorded: object, now: object) -> Iterator[str]:
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        for name in [*recorded, *(name for name in now if name not in recorded)]:
            yield from _differences(f"{key}.{name}".lstrip("."), recorded.get(name), now.get(name))
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for index, (one, other) in enumerate(zip(recorded, now, strict=True)):
            yield from _differences(f"{key}.{index}", one, other)
    elif recorded != now:
        yield f"`{key}` was {recorded!r}, is now {now!r}"


def shortened(folder: Path) -> Path:
    """A folder as the user would type it from here."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
