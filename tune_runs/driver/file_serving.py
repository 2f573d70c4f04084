"""The files of a run folder for nodes that do not see it, noticed when the search starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from tune_runs.console_table import print_sentence
from tune_runs.file_store.driver_folder import served_folder
from tune_runs.file_store.interface import StoreUse
from tune_runs.file_store.visibility import visibility
from tune_runs.recording.checkpoints import checkpoint_use
from tune_runs.request.search_request import SearchRequest
from tune_runs.trial.disk_budget import has_room

_NAMED = 3
"""Most nodes that the note names."""


@contextmanager
def run_file_store(request: SearchRequest, num_concurrent: int, console: Console) -> Iterator[StoreUse | None]:
    """Give the store of nodes that do not see the folders of a search; None where every node sees them.

    A Ray that this process started is one machine, and is not asked.

    Args:
        request: the request; its folder exists.
        num_concurrent: runs that may write at the same time.
        console: gets a note where a node does not see a folder.

    Raises:
        OSError: if a folder cannot be written.
    """
    if request.address is None:
        yield None
        return
    space, folder = request.space, request.folder
    folders = [folder, *([Path(space.trunks)] if space.trunks else [])]
    seen = visibility(folders)
    if not seen.blind:
        yield None
        return
    print_sentence(console, _note(seen.blind, list(map(str, folders))))
    room = partial(has_room, checkpoint_use(space, folder, folder, num_concurrent))
    with served_folder(seen.seeing, room) as store:
        yield store


def _note(blind: Sequence[str], folders: Sequence[str]) -> str:
    others = f" and {len(blind) - _NAMED} more" if len(blind) > _NAMED else ""
    nodes, listed = f"{', '.join(blind[:_NAMED])}{others}", " or ".join(folders)
    return f"note: {nodes} cannot see {listed}: snapshots and checkpoints of runs there travel through Ray"
