"""What a search is asked to do, and where: a new run folder, or one that is gone on with."""

from __future__ import annotations

import dataclasses
import os
import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from absgd import records
from absgd.errors import UserError
from absgd.terminal import shortened
from absgd.yaml_text import dump_yaml, read_yaml
from tune_runs.request.space_files import load_space, refuse_changes, with_options
from tune_runs.space.model import BUDGETS, SearchSpace
from tune_runs.space.parameters import Scalar

Points = Mapping[str, Sequence[Mapping[str, Scalar]]]
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
    """Of another search."""
    searches: bool = True
    """Whether trials are asked for; else what was found so far is confirmed."""
    confirms: bool = True
    """Whether a scenario is confirmed when its search is done, if the space says so."""

    @property
    def has_confirmation(self) -> bool:
        """Whether this session confirms: where it does nothing else, it does so whatever the space says."""
        return not self.searches or (self.confirms and self.space.confirm is not None)

    @property
    def resume_command(self) -> str:
        """What the user types to go on with it."""
        words = ["absgd-tune", "--resume" if self.searches else "--confirm", str(shortened(self.folder))]
        return shlex.join([*words, *(["--address", self.address] if self.address else [])])

    def begin(self) -> None:
        """Write what is asked into the run folder, `space.yaml` last: with it the search has begun.

        Raises:
            OSError: if it cannot be written.
        """
        if not (self.folder / records.ID_FILE).exists():
            records.write_atomically(self.folder / records.ID_FILE, uuid.uuid4().hex)
        if self.warm_start and not self.is_resume:
            points = {name: [dict(point) for point in points] for name, points in self.warm_start.items()}
            records.write_atomically(self.folder / records.WARM_START_FILE, dump_yaml(points))
        records.write_atomically(self.folder / records.SPACE_FILE, dump_yaml(self.space.to_dict()))


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
    if folder.exists() and not is_unbegun(folder):
        raise UserError(
            f"{folder} exists: continue it with `--resume {folder}` or give the new run another `--name` (name)"
        )
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"expected a folder that can be written, got {parent} (--out)")
    if space.trunks:
        space = space.model_copy(update={"trunks": str(Path(space.trunks).expanduser().absolute())})
    return SearchRequest(space, folder.absolute(), address, warm_start=warm_start or {})


def is_unbegun(folder: Path) -> bool:
    """Whether a driver was killed before it wrote into its run folder what is asked."""
    if not folder.is_dir():
        return False
    return all(path.name.startswith(".") or path.name == records.WARM_START_FILE for path in folder.iterdir())


def search_id(folder: Path) -> str:
    """Which search a run folder is of, wherever it is moved."""
    return (folder / records.ID_FILE).read_text()


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
        budgets: keys of a space that bound the search, replaced from now on.
        given: the space that the user believes it is; must be the recorded one, but for budgets and
            `confirm`, which are taken.
        option: that asked for it.

    Raises:
        UserError: if there is none, or `given` is another.
    """
    space_file = folder / records.SPACE_FILE
    if not space_file.is_file():
        raise UserError(f"expected a run folder with {records.SPACE_FILE}, found none in {folder} ({option})")
    space = load_space(str(space_file))
    changes: dict[str, object] = {}
    if given is not None:
        recorded, now = ({**one.decisive(), "num_trials": one.num_trials} for one in (space, given))
        refuse_changes(recorded, now, f"{space_file} and --space")
        changes |= {key: value for key, value in given.to_dict().items() if key in (*BUDGETS, "confirm")}
    changes |= budgets or {}
    if extend:
        changes["num_trials"] = space.num_trials + extend
    if changes:
        space = with_options(space, changes)
    points = read_yaml(folder / records.WARM_START_FILE) if (folder / records.WARM_START_FILE).exists() else {}
    return SearchRequest(space, folder.absolute(), address, is_resume=True, warm_start=points)
