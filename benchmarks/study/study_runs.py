"""The searches of the study, run one after another as a user would, and what of them is committed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from absgd import records
from benchmarks.harness.command_line import without_folders
from benchmarks.study.study_spaces import space_file
from tune_runs.progress.recorded_progress import is_locked, read_search

TUNE = (sys.executable, "-m", "tune_runs")
"""The command `absgd-tune`, also where it is not on the path."""
KEPT_TABLES = (
    records.TRIALS_FILE,
    records.EPOCHS_FILE,
    f"{records.SCENARIOS_FOLDER}/*/{records.CONFIRMATION_FILE}",
    f"{records.SCENARIOS_FOLDER}/*/{records.CLASSES_FILE}",
)
KEPT_FILES = (records.SPACE_FILE, "best/*.yaml")
"""Patterns of the files of a run folder that are committed, beside its environment."""
_COMPRESSION_LEVEL = 19

SearchStage = Literal["new", "begun", "ended"]


def search_stage(folder: Path) -> SearchStage:
    """Return whether the search of a run folder has ended, has begun, or neither.

    Raises:
        UserError: if a file of the folder is damaged.
    """
    if not (folder / records.SPACE_FILE).is_file():
        return "new"
    search = read_search(folder)
    return "ended" if search.state == "ended" and search.verdicts else "begun"


def search_command(name: str, runs: Path, stage: SearchStage) -> list[str]:
    """Return the command line that starts a search or resumes it.

    >>> search_command("digits_ldam", Path("runs"), "begun")[-2:]
    ['--resume', 'runs/digits_ldam']
    """
    if stage == "begun":
        return [*TUNE, "--resume", str(runs / name)]
    return [*TUNE, "--space", str(space_file(name)), "--out", str(runs)]


def run_searches(names: Sequence[str], runs: Path, results: Path) -> list[str]:
    """Run each search that has not ended to its end, and collect all that have.

    Args:
        names: searches, in the order in which they run.
        runs: folder of run folders.
        results: folder of what is committed.

    Returns:
        Names of searches that failed.

    Raises:
        UserError: if a file of a run folder is damaged.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the search that ran has stopped.
    """
    failed = []
    for name in names:
        wait_for_other(runs / name)
        stage = search_stage(runs / name)
        print(f"{name}: {'has ended' if stage == 'ended' else 'resumes' if stage == 'begun' else 'starts'}", flush=True)
        if stage != "ended":
            run_command(search_command(name, runs, stage))
        if search_stage(runs / name) == "ended":
            collect(runs / name, results / name)
        else:
            failed.append(name)
            print(f"{name}: failed; the same command tries it again", flush=True)
    return failed


def run_command(command: Sequence[str]) -> None:
    """Run a command to its end; after Ctrl-C or SIGTERM it is waited for, so that what it recorded is whole."""
    with subprocess.Popen(command) as process:
        try:
            process.wait()
        except KeyboardInterrupt as interrupt:
            if signal.SIGTERM in interrupt.args:  # Ctrl-C has reached it already
                process.terminate()
            process.wait()
            raise


def wait_for_other(folder: Path, every_s: float = 5.0) -> None:
    """Wait while another process runs the search of a folder: where this command was killed, its search goes on."""
    if is_locked(folder):
        print(f"{folder.name}: waits for the process that runs it", flush=True)
    while is_locked(folder):
        time.sleep(every_s)


def collect(folder: Path, target: Path) -> None:
    """Copy what is needed to rebuild every number of a search: all but weights, predictions, journals and
    the report and verdicts, which follow from the rest.

    Args:
        folder: run folder of a search that has ended.
        target: folder of the copy; replaced if it exists.
    """
    shutil.rmtree(target, ignore_errors=True)
    for table, copy in _copies(KEPT_TABLES, folder, target):
        pq.write_table(pq.read_table(table), copy, compression="zstd", compression_level=_COMPRESSION_LEVEL)
    for file, copy in _copies(KEPT_FILES, folder, target):
        shutil.copyfile(file, copy)
    sessions = json.loads((folder / records.ENVIRONMENT_FILE).read_text())["sessions"]
    text = json.dumps({"sessions": [_without_paths(one) for one in sessions]}, indent=2)
    (target / records.ENVIRONMENT_FILE).write_text(text + "\n")


def _copies(patterns: Sequence[str], folder: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file that a pattern names and the place of its copy, whose folder exists."""
    for file in sorted(file for pattern in patterns for file in folder.glob(pattern)):
        copy = target / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        yield file, copy


def _without_paths(session: dict[str, Any]) -> dict[str, Any]:
    """Reduce the paths of this machine in a session's command line to their last parts."""
    return {**session, "command": " ".join(map(without_folders, str(session["command"]).split()))}
