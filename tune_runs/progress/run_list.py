"""The lines of `--status` and `--list`: one search, or a folder of runs, read from files alone."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from absgd import records
from absgd.counts import plural
from absgd.errors import UserError
from absgd.plugins.loading import plugin_words
from absgd.terminal import printable, shortened, warn
from tune_runs.console_table import ConsoleTable, TableColumn, print_whole
from tune_runs.progress.progress_table import progress_table
from tune_runs.progress.recorded_progress import RecordedSearch, read_search
from tune_runs.progress.trial_cells import score
from tune_runs.recording.trial_record import TrialRecord


class RunLine(NamedTuple):
    """A run folder in one line of text cells."""

    name: str
    state: str
    scenarios: str
    trials: str
    result: str
    """The verdicts of a search that has ended, else its best score."""
    changed_at: float | None


def print_status(folder: Path, console: Console) -> None:
    """Print the table of the search in a run folder, and what may be done next.

    Raises:
        UserError: if it is no run folder, or a file of it is damaged.
    """
    search = read_search(folder)
    console.print(progress_table(search.space, search.progress, f"{search.state}, {_ago(search.changed_at)}"))
    for verdict in search.verdicts:
        print_whole(console, printable(f"verdict: {verdict.scenario}: {verdict.label}"))
    if search.state == "interrupted":
        words = ["absgd-tune", "--resume", str(shortened(folder)), *plugin_words()]
        print_whole(console, f"continue with: {shlex.join(words)}")


def print_runs(folder: Path, console: Console) -> None:
    """Print a line for each folder in a folder, those changed last first; unreadable and foreign ones are named too.

    Raises:
        UserError: if there is no such folder, or it may not be listed.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of run folders, found none at {folder} (--list)")
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror or error} (--list)") from None
    lines = [_run_line(path) for path in paths if not path.name.startswith(".") and _may_be_folder(path)]
    if not lines:
        print_whole(console, f"no run folder in {folder}")
        return
    text = [TableColumn(name, "text") for name in ("state", "best, or verdict", "last change")]
    table = ConsoleTable(["run", text[0], "scenarios", "trials", *text[1:]])
    for line in sorted(lines, key=lambda one: -(one.changed_at or 0)):
        table.add_row(*line[:-1], "-" if line.changed_at is None else _ago(line.changed_at).removeprefix("changed "))
    console.print(table)


def _may_be_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a folder whose names may be listed, but not followed
        return True


def _run_line(folder: Path) -> RunLine:
    try:
        if (folder / records.SPACE_FILE).is_file():
            return _search_line(read_search(folder, "--list"))
        if (folder / records.CONFIG_FILE).is_file():
            return _single_line(folder)
    except (UserError, OSError) as error:
        warn(f"{folder}: {error}")
        return RunLine(_name(folder), "unreadable", "-", "-", "-", None)
    return RunLine(_name(folder), "no run", "-", "-", "-", None)


def _name(folder: Path) -> str:
    """Return the name of a folder on one line, in characters that can be printed."""
    return printable(folder.name.replace("\n", "\\n"))


def _search_line(search: RecordedSearch) -> RunLine:
    labels = Counter(one.label for one in search.verdicts)
    bests = (score(one.best) for one in search.progress)
    result = ", ".join(label if count == 1 else f"{label} ({count})" for label, count in labels.items())
    trials = f"{search.num_done}/{search.num_asked}"
    return RunLine(
        _name(search.folder),
        search.state,
        str(len(search.progress)),
        trials,
        result or ", ".join(bests),
        search.changed_at,
    )


def _single_line(folder: Path) -> RunLine:
    """Return the line of a run of absgd-train; its state is what it recorded last."""
    path = folder / records.TRIALS_FILE
    rows = [TrialRecord.from_row(row, folder.name) for row in records.read_rows(path, records.TRIAL_SCHEMA)]
    if not rows:
        return RunLine(_name(folder), "one run, begun", "-", "-", "-", None)
    state = f"one run, {rows[0].status}"
    value = rows[0].summary.metric_last
    shown = "-" if value is None else f"{value:.4f}"
    return RunLine(_name(folder), state, "-", "-", shown, path.stat().st_mtime)


def _ago(changed_at: float) -> str:
    """Return when something last changed, in the largest whole unit."""
    seconds = max(0, round(time.time() - changed_at))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"changed {plural(seconds // length, unit)} ago"
    return f"changed {plural(seconds, 'second')} ago"
