"""The request for a search: what to search, and the run folder, a new one or one that is resumed."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import uuid
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from absgd import records
from absgd.config import merge_dotted
from absgd.config.locations import PATH_SETTINGS, Moves, warn_of_unused_moves
from absgd.counts import plural
from absgd.errors import UserError, nearest, shown
from absgd.paths import read_regular
from absgd.plugins.loading import plugin_words
from absgd.terminal import shortened
from absgd.yaml_text import dump_yaml, read_yaml
from tune_runs.request.recorded_space import filled_from, load_recorded, paths_of, recorded, recovered, with_moves
from tune_runs.request.space_files import refuse_changes, with_options
from tune_runs.request.space_settings import with_settings
from tune_runs.space.model import BUDGETS, SearchSpace
from tune_runs.space.parameters import Scalar
from tune_runs.space.space_sections import ConfirmConfig

MAY_CHANGE = (*BUDGETS, "confirm", "track")
"""Keys of a space that a search which is continued may be given anew; `num_trials` is raised by `--extend`."""
MAX_ID = 64
"""Most characters of the id of a search."""
MAX_ADDRESS = 300
"""Most characters of an address; a name that a name service knows has 253 at most."""
Points = Mapping[str, Sequence[Mapping[str, Scalar]]]
"""Scenario -> points to try first."""


@dataclasses.dataclass(frozen=True)
class SearchRequest:
    """A request: the space to search and the folder to record it in."""

    space: SearchSpace
    folder: Path
    address: str | None = None
    """Address of an existing Ray cluster; None starts a local Ray."""
    is_resume: bool = False
    warm_start: Points = dataclasses.field(default_factory=dict)
    """Points of another search to try first."""
    searches: bool = True
    """Whether new trials are trained; otherwise the best trials so far are confirmed."""
    moves: Moves = dataclasses.field(default_factory=dict)
    """Folders that have moved since the search began, as its records name them -> where they are now."""
    confirms: bool = True
    """Whether a scenario is confirmed when its search is done, if the space has `confirm`."""
    storage: str | None = None
    """Address of the storage that gets a copy of the run folder; None: there is none."""

    @property
    def has_confirmation(self) -> bool:
        """Whether this session confirms: a session that does nothing else does, even if the space has no `confirm`."""
        return not self.searches or (self.confirms and self.space.confirm is not None)

    @property
    def resume_command(self) -> str:
        """The command that resumes the search."""
        words = ["absgd-tune", "--resume" if self.searches else "--confirm", str(shortened(self.folder))]
        address = ["--address", self.address] if self.address else []
        storage = ["--storage", self.storage] if self.storage else []
        return shlex.join([*words, *plugin_words(), *address, *storage])

    def begin(self) -> None:
        """Write the request into the run folder, `space.yaml` last: once it exists, the search has begun.

        Raises:
            OSError: if it cannot be written.
        """
        if not (self.folder / records.ID_FILE).exists():
            records.write_atomically(self.folder / records.ID_FILE, uuid.uuid4().hex)
        if self.warm_start and not self.is_resume:
            points = {name: [dict(point) for point in points] for name, points in self.warm_start.items()}
            records.write_atomically(self.folder / records.WARM_START_FILE, dump_yaml(points))
        records.write_atomically(self.folder / records.SPACE_FILE, dump_yaml(self.space.to_dict()))


SearchStatus = Literal["complete", "budget", "nothing completed"]
"""How a search ended: everything that was asked for is done; a budget was used up before; or no search trial was
completed, or no run of a confirmation."""


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; everything finished is on disk."""


class SearchFailed(Exception):  # noqa: N818 - as above
    """The search ended early, and why; it can be resumed from what is recorded."""


def new_request(
    space: SearchSpace, folder: Path, address: str | None = None, warm_start: Points | None = None
) -> SearchRequest:
    """Return the request for a search into a new folder.

    Raises:
        UserError: if the folder exists or its parent cannot be written.
    """
    if folder.exists() and not is_unbegun(folder):
        raise UserError(
            f"{folder} exists: continue it with `--resume {folder}` (in Python `resume=True`) or give the new "
            "run another `--name` (name)"
        )
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"expected a folder that can be written, got {parent} (--out)")
    return SearchRequest(recorded(space), folder.absolute(), address, warm_start=warm_start or {})


def is_unbegun(folder: Path) -> bool:
    """Whether a driver was killed before it had written its request into the run folder."""
    if not folder.is_dir():
        return False
    return all(path.name.startswith(".") or path.name == records.WARM_START_FILE for path in folder.iterdir())


def search_id(folder: Path) -> str:
    """Return the id of the search in a run folder, which stays the same when the folder is moved.

    Raises:
        UserError: if its file is damaged, or no file.
    """
    path = folder / records.ID_FILE
    text = read_regular(path, MAX_ID).decode(errors="replace")
    if not re.fullmatch("[0-9a-f]+", text):
        raise UserError(f"expected the id of a search, got {shown(text)} ({path})")
    return text


def resume_request(
    folder: Path,
    address: str | None = None,
    extend: int = 0,
    budgets: Mapping[str, object] | None = None,
    given: SearchSpace | None = None,
    option: str = "--resume",
    moves: Moves | None = None,
    pairs: int | None = None,
    settings: Mapping[str, object] | None = None,
) -> SearchRequest:
    """Return the request to resume the search recorded in a folder.

    Args:
        folder: the run folder.
        address: address of a Ray cluster.
        extend: further trials of each scenario.
        budgets: keys of a space that bound the search, replaced from now on.
        given: the space that the user gave; must equal the recorded one except for budgets, `confirm` and `track`,
            which replace the recorded ones, and for `num_trials`, which --extend may have raised since.
        option: the command-line option that asked for the resume.
        moves: folders that have moved since the search began.
        pairs: most fresh pairs of seeds of the confirmation; None: as recorded, or as in `given`.
        settings: dotted key -> value of `--set`, replaced from now on.

    Raises:
        UserError: if the folder has no search, `given` is another space, `settings` has a key that must not change, or
            fewer fresh pairs than are trained already are asked for.
    """
    space_file = folder / records.SPACE_FILE
    if not space_file.is_file():
        raise UserError(f"expected a run folder with {records.SPACE_FILE}, found none in {folder} ({option})")
    moves = moves or {}
    begun = recorded(recovered(_begun_space(folder), folder))
    if moves:
        rows = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
        columns = [records.COLUMN_OF[key] for key in PATH_SETTINGS]
        warn_of_unused_moves(moves, [], [*paths_of(begun), *(row[name] for row in rows for name in columns)])
    space = with_moves(begun, moves, option)
    changes: dict[str, object] = {}
    if given is not None:
        given = filled_from(given, space, moves)
        places = f"{space_file} and --space; `--moved OLD=NEW` names a folder that has moved"
        refuse_changes(space.decisive(), given.decisive(), places)
        _check_num_trials(space, given, extend, trains_trials=option == "--resume")
        changes |= {key: value for key, value in given.to_dict().items() if key in MAY_CHANGE}
    changes |= budgets or {}
    if extend:
        changes["num_trials"] = space.num_trials + extend
    if pairs is not None:
        confirm = (space.confirm or ConfirmConfig()).model_dump(mode="json")
        changes["confirm"] = {**confirm, **(changes.get("confirm") or {}), "max_pairs": pairs}  # type: ignore[dict-item]
    if settings:
        _check_keys(settings, option)
        merged = with_settings({**space.to_dict(), **changes}, settings)
        changes |= {key: merged[key] for key in MAY_CHANGE}
    if changes:
        space = with_options(space, changes, "--set" if settings else "command line")
    if "confirm" in changes:
        source = "--pairs" if pairs is not None else "--set" if settings else "--space"
        _check_confirmation(begun.confirm, space.confirm, folder, source)
    points = read_yaml(folder / records.WARM_START_FILE) if (folder / records.WARM_START_FILE).exists() else {}
    return SearchRequest(space, folder.absolute(), address, is_resume=True, warm_start=points, moves=moves)


def check_address(address: object, key: str) -> None:
    """Refuse malformed addresses of a Ray cluster, whether or not one listens there.

    Args:
        address: as the user gave it.
        key: option or argument to name in the message.

    Raises:
        UserError: if it is malformed.
    """
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    try:
        host.encode("idna")
        is_fit = isinstance(address, str) and 0 < len(address) <= MAX_ADDRESS
    except UnicodeError:  # what a name service raises in place of an OSError
        is_fit = False
    if not is_fit or (port.isdigit() and not port.isascii()):
        raise UserError(f"expected `auto` or HOST:PORT, got {shown(address)} ({key})")


def _check_keys(settings: Mapping[str, object], option: str) -> None:
    """Refuse keys that must not change once a search has begun."""
    for key in settings:
        if (first := key.split(".")[0]) not in MAY_CHANGE:
            advice = "; add trials by `--extend N`" if first == "num_trials" else nearest(first, MAY_CHANGE)
            raise UserError(
                f"`{option}` accepts --set of budgets, `track` and `confirm` only, got `{key}`{advice} (--set: {key})"
            )


def _check_num_trials(recorded: SearchSpace, given: SearchSpace, extend: int, trains_trials: bool) -> None:
    """Refuse a space that asks for more trials than recorded; fewer are what an extended search was begun with."""
    if trains_trials and given.num_trials > recorded.num_trials:
        raise UserError(
            f"expected `num_trials` {recorded.num_trials}, as recorded, got {given.num_trials}: to add trials give "
            f"`--extend {given.num_trials - recorded.num_trials}` (--space: num_trials)"
        )
    if given.num_trials != recorded.num_trials and not extend:
        warnings.warn(
            f"`num_trials` stays {recorded.num_trials}, as recorded, not {given.num_trials} (--space: num_trials)",
            stacklevel=3,
        )


def _check_confirmation(begun: ConfirmConfig | None, asked: ConfirmConfig | None, folder: Path, option: str) -> None:
    """Refuse to change a confirmation that has begun, except for more pairs and another budget.

    Claims are made under rules that were fixed before any score was known: with another margin or other controls, what
    was undecided would be tested again at the full level.
    """
    rows = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    confirmed = [row for row in rows if row["phase"] == "confirm" and row["candidate"] is not None]
    if asked is None or not confirmed:
        return
    num_pairs = len({row["pair"] for row in confirmed if records.is_best(row["candidate"])})
    if num_pairs > asked.max_pairs:
        raise UserError(
            f"expected at least {plural(num_pairs, 'fresh pair')} of seeds, as many as {folder} has, "
            f"got {asked.max_pairs} ({option}{'' if option == '--pairs' else ': confirm.max_pairs'})"
        )
    for name in ("margin", "controls"):
        known, given = getattr(begun or ConfirmConfig(), name), getattr(asked, name)
        if known != given and any(row["status"] == "completed" for row in confirmed):
            raise UserError(
                f"expected `{name}` {_listed(known)}, with which the confirmation in {folder} has begun, "
                f"got {_listed(given)} ({option}: confirm.{name})"
            )


def _listed(value: float | tuple[str, ...]) -> str:
    return ", ".join(value) or "none" if isinstance(value, tuple) else f"{value:g}"


def _begun_space(folder: Path) -> SearchSpace:
    """Return the space that a search began with.

    The trials of an earlier version, whose table has no `data.on_duplicate`, took every image as it was: so does the
    rest of their search.
    """
    space = load_recorded(folder)
    columns = records.columns_of(folder / records.TRIALS_FILE)
    if not columns or records.COLUMN_OF["data.on_duplicate"] in columns:
        return space
    scenarios = []
    for part, scenario in zip(space.scenarios, space.scenario_list, strict=True):
        given = merge_dotted(space.base, scenario.settings, "space")["data"]
        earlier = records.with_earlier_defaults({"data": given})["data"]
        added = {key: value for key, value in earlier.items() if key not in given}
        scenarios.append({**part.model_dump(mode="json"), "data": {**part.data, **added}})
    return with_options(space, {"scenarios": scenarios}, str(folder / records.SPACE_FILE))
