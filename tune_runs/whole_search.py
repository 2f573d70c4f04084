"""A search from its request to its result: searched, recorded, judged; for the command line and for Python.

Nothing here imports torch or Ray before the search begins.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.counts import plural
from absgd.records import Verdict
from absgd.terminal import shortened, warn
from tune_runs.console_table import print_sentence, print_whole
from tune_runs.request.search_request import SearchRequest, SearchStatus
from tune_runs.run_copy.copier import copied_run

if TYPE_CHECKING:
    from ray.tune import Callback

REPORT_S = 900.0
"""Most time that the report of a search may take; one of 1000 trials takes seconds."""
PLAIN_WIDTH = 120
"""Width of output to a file or pipe, in columns."""


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search has found; everything else is in its folder, which `analysis.load` reads."""

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
    with copied_run(request.folder, request.storage) as copier:
        _say_starting(request, console)
        from tune_runs.recording.tracker_table import attach_report
        from tune_runs.run_search import run_search

        status = run_search(request, console, callbacks, copier.step if copier else None)
        verdicts = write_report(request.folder, console)
        attach_report(request.space, request.folder)
    names = [scenario.name for scenario in request.space.scenario_list]
    best = _configs(names, lambda name: records.best_file(request.folder, name))
    absgd = _configs(names, lambda name: records.best_absgd_file(request.folder, name))
    return SearchResult(request.folder, status, best, {**best, **absgd}, {one.scenario: one for one in verdicts})


def _configs(scenarios: Sequence[str], file_of: Callable[[str], Path]) -> dict[str, RunConfig]:
    return {name: RunConfig.from_yaml(file_of(name)) for name in scenarios if file_of(name).is_file()}


def _say_starting(request: SearchRequest, console: Console) -> None:
    """Print what is begun and what it waits for: torch alone takes seconds to import, images may take minutes."""
    images = f"the images of {plural(len(request.space.scenario_list), 'scenario')}"
    words = f"{request.space.name}: starting in {shortened(request.folder)}; reading torch, then {images}"
    print_sentence(console, words)


def write_report(folder: Path, console: Console) -> list[Verdict]:
    """Run absgd-report in its own process to judge the results and write their page; it reads only the run's files.

    It imports from the same places as this process, and not from the current folder.

    Returns:
        The verdicts; none if they could not be written.
    """
    verdicts = shortened(folder) / records.VERDICTS_FILE
    verdicts.unlink(missing_ok=True)
    words = [sys.executable, "-P", "-m", "analysis", "--verdicts", str(verdicts), "--", str(shortened(folder))]
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    environment = {**os.environ, "PYTHONPATH": places}
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, timeout=REPORT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        warn(f"no report was written ({error}); everything else is recorded")
        return []
    if done.returncode:
        warn("no report was written; everything else is recorded")
    else:
        print_whole(console, f"report:  {shortened(folder) / records.REPORT_FILE}")
    if not verdicts.exists():
        return []
    from tune_runs.confirmation.confirmation_table import verdict_facts

    found = records.read_verdicts(verdicts)
    console.print(verdict_facts(found))
    return found
