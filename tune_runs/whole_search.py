"""A search from its request to its result: searched, recorded, judged; for the command line and for Python.

Nothing here imports torch or Ray before the search begins.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.counts import plural
from absgd.records import Verdict
from absgd.terminal import shortened
from absgd.whole_imports import import_whole
from tune_runs.console_table import print_sentence
from tune_runs.ray_cluster.session import ray_session
from tune_runs.recording.tracker_table import attach_report, check_trackers
from tune_runs.report_process import report_process
from tune_runs.request.search_request import SearchRequest, SearchStatus, new_request
from tune_runs.request.warm_start import warm_start_of
from tune_runs.run_copy.copier import copied_run
from tune_runs.run_search import run_search
from tune_runs.space.boundary import unused_settings
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import enqueued_points

if TYPE_CHECKING:
    from ray.tune import Callback

PLAIN_WIDTH = 120
"""Width of output to a file or pipe, in columns."""


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The findings of a search; everything else is in its folder, which `analysis.load` reads."""

    folder: Path
    """The run folder; absolute path."""
    status: SearchStatus
    """`complete`; `budget`: a budget was used up before; `nothing completed`: no search trial, or no run of a
    confirmation, was completed."""
    best: Mapping[str, RunConfig]
    """Scenario -> its best configuration; without those that have none."""
    best_absgd: Mapping[str, RunConfig]
    """Scenario -> its best configuration of ABSGD: another one only where a tuned control is the best of all."""
    verdicts: Mapping[str, Verdict]
    """Scenario -> what may be claimed; empty if no report could be written."""

    @property
    def report(self) -> Path:
        """The report, a page of its own."""
        return self.folder / records.REPORT_FILE


def plain_console() -> Console:
    """Return the console of a search: as wide as a terminal or a notebook cell, else of fixed width."""
    console = Console()
    return console if console.is_terminal or console.is_jupyter else Console(width=PLAIN_WIDTH)


def new_search(
    space: SearchSpace, folder: Path, address: str | None, earlier: Path | None, console: Console
) -> SearchRequest:
    """Return the request for a new search, and print whose points it tries first.

    Args:
        space: the search space.
        folder: the run folder; must not exist.
        address: existing Ray cluster; None: none.
        earlier: run folder of the search whose best configurations are tried first; None: none.
        console: gets a sentence on the points of each scenario.

    Raises:
        UserError: as `warm_start_of` and `new_request`.
    """
    if earlier is None:
        return new_request(space, folder, address)
    start = warm_start_of(space, earlier)
    request = new_request(space, folder, address, start.points)
    for sentence in start.sentences:
        print_sentence(console, sentence)
    return request


def carry_out(request: SearchRequest, console: Console, callbacks: Sequence[Callback] = ()) -> SearchResult:
    """Search, confirm and judge what a request asks for.

    Args:
        request: the request.
        console: prints what is done, the live table, the summary and the verdict.
        callbacks: of Ray Tune; are told of all events. One that raises is told nothing more.

    Raises:
        UserError: before anything is created, if the request cannot be met.
        SearchInterrupted: after Ctrl-C or SIGTERM; everything finished is on disk.
        SearchFailed: if the records cannot be written, Ray gives up, or every further trial would fail.
        OSError: if Ray does not start.
    """
    check_trackers(request.space.track)
    with copied_run(request.folder, request.storage) as copier:
        _say_starting(request, console)
        with report_process(request.folder) as report:
            with _importing("torch"), ray_session(request.address):
                status = run_search(request, console, callbacks, copier.step if copier else None, report.prepare)
                report.begin()  # it is drawn while Ray ends
            verdicts = report.verdicts(console)
        attach_report(request.space, request.folder)
    names = [scenario.name for scenario in request.space.scenario_list]
    best = _configs(names, lambda name: records.best_file(request.folder, name))
    absgd = _configs(names, lambda name: records.best_absgd_file(request.folder, name))
    return SearchResult(request.folder, status, best, {**best, **absgd}, {one.scenario: one for one in verdicts})


def _configs(scenarios: Sequence[str], file_of: Callable[[str], Path]) -> dict[str, RunConfig]:
    return {name: RunConfig.from_yaml(file_of(name)) for name in scenarios if file_of(name).is_file()}


def _say_starting(request: SearchRequest, console: Console) -> None:
    """Print what is begun and what it waits for: Ray and torch take seconds to start, images may take minutes."""
    space, ray = request.space, f"Ray at {request.address}" if request.address else "Ray"
    for note in (*enqueued_points(space).notes, *unused_settings(space)):
        print_sentence(console, f"note: {note}")
    images = f"the images of {plural(len(space.scenario_list), 'scenario')}"
    words = f"{space.name}: starting in {shortened(request.folder)}; {ray} and torch first, then {images}"
    print_sentence(console, words)


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Import a module in a thread while the block does something else; an error there is left to the next import."""

    def import_quietly() -> None:
        with suppress(Exception):
            import_whole(module)

    thread = threading.Thread(target=import_quietly)
    thread.start()
    try:
        yield
    finally:
        thread.join()
