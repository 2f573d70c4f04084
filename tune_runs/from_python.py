"""A search started from Python: `search` and `confirm`, which the package exports."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from absgd.config.locations import parse_moves
from absgd.errors import UserError, shown
from absgd.paths import PathLike, absolute, checked_folder, path_of
from absgd.plugins import load_plugin
from tune_runs.request.search_request import check_address, is_unbegun, resume_request
from tune_runs.request.space_files import load_space, space_from_dict, with_options
from tune_runs.run_copy.restoring import restore_run
from tune_runs.space.model import BUDGETS, SearchSpace
from tune_runs.whole_search import SearchResult, carry_out, new_search, plain_console

if TYPE_CHECKING:
    from ray.tune import Callback

SpaceLike = SearchSpace | Mapping[str, Any] | PathLike
"""A search space, its mapping, the path of its file, or the name of a shipped one."""


def search(
    space: SpaceLike,
    out: PathLike = "runs",
    *,
    name: str | None = None,
    address: str | None = None,
    storage: str | None = None,
    resume: bool = False,
    extend: int = 0,
    warm_start: PathLike | None = None,
    confirms: bool = True,
    moved: Mapping[str, PathLike] | None = None,
    plugins: Sequence[PathLike] = (),
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
    **changes: object,
) -> SearchResult:
    """Search the settings of ABSGD for every scenario of a space, as `absgd-tune` does.

    A Ray that this process is connected to is used, and stays; else one is started, and ends with the search. The
    process keeps its signal handlers and environment.

    Args:
        space: a `SearchSpace`, its mapping, the path of its file, or the name of a shipped one, such as `quickstart`.
        out: folder that holds run folders.
        name: name of the run folder in it; default: the name of the space.
        address: existing Ray cluster (`auto`, or HOST:PORT).
        storage: address of a storage, such as ``s3://bucket/runs``, that gets a copy of the run folder
            (docs/cluster.md); a folder that is continued and does not exist is restored from it.
        resume: whether to continue the search if the folder has one; else it must not exist.
        extend: trials to add to each scenario of a search that is continued.
        warm_start: run folder of another search, whose best configurations are tried first.
        confirms: whether the chosen configurations are confirmed, if the space has `confirm`.
        moved: folders as the records of a continued search name them -> where they are now.
        plugins: Python files that declare models, losses or data sets (docs/own-parts.md).
        callbacks: of Ray Tune (`ray.tune.Callback`), each told in a thread of its own; one that raises or is slow
            misses events, and the search goes on.
        console: prints what is done; `Console(quiet=True)` prints nothing. Default: standard output.
        changes: top-level keys of the space that are replaced, such as ``num_trials=8`` or ``time_budget="30m"``.

    Returns:
        Folder, status, and the best configuration of each scenario.

    Raises:
        UserError: before anything is created, if the request cannot be met.
        SearchInterrupted: a KeyboardInterrupt: after Ctrl-C or SIGTERM; everything finished is on disk.
        SearchFailed: if the search ended early, and why; ``resume=True`` continues it.
        OSError: if Ray does not start.
    """
    _check_session(address, callbacks, moved, console)
    _check_whole("extend", extend, least=0)
    _load_plugins(plugins)
    given = _space(space)
    if named := {**({} if name is None else {"name": name}), **changes}:
        given = with_options(given, named, "search")
    folder = checked_folder(absolute(out, "out") / given.name, "out")
    console = console or plain_console()
    if resume and storage is not None:
        restore_run(folder, storage, is_required=False)
    if resume and folder.exists() and not is_unbegun(folder):
        if warm_start is not None:
            raise UserError(f"expected `warm_start` with a new search, got {folder}, which is continued (warm_start)")
        budgets = {key: changes[key] for key in BUDGETS if key in changes}
        request = resume_request(folder, address, extend=extend, budgets=budgets, given=given, moves=_moves(moved))
    else:
        if extend or moved:
            raise UserError(f"expected `extend` and `moved` with a search that is continued, got a new one in {folder}")
        earlier = None if warm_start is None else checked_folder(absolute(warm_start, "warm_start"), "warm_start")
        request = new_search(given, folder, address, earlier, console)
    return carry_out(dataclasses.replace(request, confirms=confirms, storage=storage), console, callbacks)


def confirm(
    folder: PathLike,
    pairs: int | None = None,
    *,
    address: str | None = None,
    storage: str | None = None,
    moved: Mapping[str, PathLike] | None = None,
    plugins: Sequence[PathLike] = (),
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
    **budgets: object,
) -> SearchResult:
    """Confirm on fresh seeds what the search in a folder has chosen so far, as ``absgd-tune --confirm`` does.

    Args:
        folder: the run folder.
        pairs: most fresh pairs of seeds, also of a confirmation that has ended; default: as recorded.
        address: existing Ray cluster (`auto`, or HOST:PORT).
        storage: as in `search`.
        moved: folders as the records name them -> where they are now.
        plugins: as in `search`.
        callbacks: as in `search`.
        console: as in `search`.
        budgets: budgets of the space that are replaced, such as ``time_budget="30m"``.

    Returns:
        Folder, status, and the best configuration of each scenario.

    Raises:
        UserError, SearchInterrupted, SearchFailed, OSError: as `search`.
    """
    _check_session(address, callbacks, moved, console)
    if pairs is not None:
        _check_whole("pairs", pairs, least=1)
    _load_plugins(plugins)
    for key in budgets:
        if key not in BUDGETS:
            raise UserError(f"expected budgets ({', '.join(BUDGETS)}), got `{key}` (confirm)")
    run = checked_folder(absolute(folder, "folder"), "folder")
    if storage is not None:
        restore_run(run, storage)
    request = resume_request(run, address, budgets=budgets, option="--confirm", moves=_moves(moved), pairs=pairs)
    request = dataclasses.replace(request, searches=False, storage=storage)
    return carry_out(request, console or plain_console(), callbacks)


def _space(given: SpaceLike) -> SearchSpace:
    if isinstance(given, SearchSpace):
        return given
    if isinstance(given, Mapping):
        return space_from_dict(dict(given))
    if isinstance(given, str | os.PathLike):
        return load_space(given)
    raise UserError(f"expected a SearchSpace, its mapping, its file or a shipped name, got {shown(given)} (space)")


def _moves(moved: Mapping[str, PathLike] | None) -> dict[str, str]:
    return parse_moves([f"{old}={path_of(new, 'moved')}" for old, new in (moved or {}).items()], "moved")


def _load_plugins(plugins: Sequence[PathLike]) -> None:
    if not isinstance(plugins, list | tuple):
        raise UserError(f"expected a list of files, got {shown(plugins)} (plugins)")
    for file in plugins:
        load_plugin(file)


def _check_whole(name: str, number: object, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise UserError(f"expected a whole number `{name}` >= {least}, got {shown(number)} ({name})")


def _check_session(address: object, callbacks: object, moved: object, console: object) -> None:
    """Refuse arguments of a kind that nothing can be done with, before anything is begun."""
    if not isinstance(address, str | None):
        raise UserError(f"expected `auto` or HOST:PORT, got {shown(address)} (address)")
    if address is not None:
        check_address(address, "address")
    if not isinstance(moved, Mapping | None):
        raise UserError(f"expected a mapping of folders to folders, got {shown(moved)} (moved)")
    if not isinstance(console, Console | None):
        raise UserError(f"expected a Console of rich, got {shown(console)} (console)")
    if not isinstance(callbacks, list | tuple):
        raise UserError(f"expected a list of instances of `ray.tune.Callback`, got {shown(callbacks)} (callbacks)")
    for one in callbacks:
        if isinstance(one, type) or not hasattr(one, "on_trial_result"):
            raise UserError(f"expected instances of `ray.tune.Callback`, got {shown(one)} (callbacks)")
