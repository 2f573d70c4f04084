"""A search under attack: the real command in its own process, and the records in its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import psutil
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from absgd import records
from absgd.records import STUDY_FILE
from absgd.yaml_text import dump_yaml
from benchmarks.harness.command_line import CORES
from benchmarks.harness.locations import SPACES
from tune_runs.recording import epoch_log
from tune_runs.request.space_files import load_space, with_options
from tune_runs.space.model import SearchSpace

COMMAND = "import sys; from tune_runs.cli import main; sys.argv[0] = 'absgd-tune'; main()"
LIMIT_S = 900
"""Longer than any session takes here: a session that is still running then hangs."""
CLOCKS = ["run", "started_at", "wall_s", "restarts"]
INHERITANCE = ["epochs_trained", "epochs_inherited", records.INHERITED]
"""Columns of trials and epochs that depend on which process trained stage one."""
EPOCH_CLOCKS = ["run", *epoch_log.CLOCKS]


def faults_space(**changes: Any) -> SearchSpace:
    """Return the space to search, one trial at a time unless `changes` say otherwise."""
    space = load_space(str(SPACES / "faults.yaml"))
    return with_options(space, {"resources": {"cpu": CORES, "gpu": 0}, **changes})


class AttackedSearch:
    """A search in its own folder.

    Args:
        space: space to search.
        folder: for the run, its space file and its printed output; created if absent.
        program: Python code that replaces the command.
    """

    def __init__(self, space: SearchSpace, folder: Path, program: str = COMMAND) -> None:
        self.folder, self.run = folder, folder / "run"
        self._program = program
        folder.mkdir(parents=True, exist_ok=True)
        self._space_file = folder / "asked.yaml"
        self._space_file.write_text(dump_yaml(space.to_dict()))
        self._printed = folder / "printed.txt"

    @property
    def printed(self) -> str:
        """Printed output of all its sessions."""
        return self._printed.read_text() if self._printed.exists() else ""

    @contextmanager
    def session(self, *words: str, environment: Mapping[str, str] = os.environ) -> Iterator[subprocess.Popen[bytes]]:
        """Start the search, or resume it if it has begun; the block's end kills what remains of the process."""
        has_begun = (self.run / records.SPACE_FILE).exists()
        begin = ("--space", str(self._space_file), "--out", str(self.folder), "--name", self.run.name)
        arguments = ("--resume", str(self.run)) if has_begun else begin
        with self._printed.open("ab") as printed:
            process = subprocess.Popen(
                [sys.executable, "-c", self._program, *arguments, *words],
                env=environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end_group(process)

    def finish(self, *words: str) -> int:
        """Run a session to its end; return its exit status.

        Raises:
            subprocess.TimeoutExpired: if it hangs.
        """
        with self.session(*words) as process:
            return process.wait(LIMIT_S)

    def wait_until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
        """Wait for the condition; return whether it held before the process ended."""
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def trials(self) -> pd.DataFrame:
        """Read the recorded trials without clocks."""
        return pd.read_parquet(self.run / records.TRIALS_FILE).drop(columns=CLOCKS)

    def epochs(self) -> pd.DataFrame:
        """Read the recorded epochs without clocks, in order of trial and epoch."""
        rows = pd.read_parquet(self.run / records.EPOCHS_FILE).drop(columns=EPOCH_CLOCKS)
        return rows.sort_values(["trial_id", "epoch"]).reset_index(drop=True)

    def restarts(self) -> int:
        """Count how often a run was resumed in another process."""
        return int(pd.read_parquet(self.run / records.TRIALS_FILE).restarts.sum())

    def checkpoints(self) -> list[Path]:
        """List the checkpoints of all runs, the newest first."""
        return sorted(self.run.glob("scenarios/*/checkpoints/*/epoch-*.pt"), key=lambda path: -path.stat().st_mtime_ns)

    def study_trials(self) -> list[tuple[Any, ...]]:
        """Read number, state, parameters and value of each trial of the study."""
        (journal,) = self.run.glob(f"scenarios/*/{STUDY_FILE}")
        storage = JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.load_study(study_name=journal.parent.name, storage=storage)
        return [(one.number, one.state.name, one.params, one.value) for one in study.trials]


def search_differences(
    whole: AttackedSearch, other: AttackedSearch, in_order: bool = True, ignored: Sequence[str] = ()
) -> list[str]:
    """List the records in which two finished searches differ, clocks aside; empty if the attacked one lost nothing.

    Args:
        whole: a search that was never attacked.
        other: a search that was.
        in_order: whether trials must be in the same order, as they are when one trains at a time.
        ignored: columns that may differ, such as `INHERITANCE` where snapshots could not be written.
    """
    found = []
    one, two = (search.trials().drop(columns=ignored, errors="ignore") for search in (whole, other))
    if not in_order:
        one, two = (table.sort_values("trial_id").reset_index(drop=True) for table in (one, two))
    if not _are_equal(one, two):
        found.append("trials")
    if not _are_equal(*(search.epochs().drop(columns=ignored, errors="ignore") for search in (whole, other))):
        found.append("epochs")
    if whole.study_trials() != other.study_trials():
        found.append("study")
    if any(state == "RUNNING" for _, state, *_ in other.study_trials()):
        found.append("a trial left RUNNING")
    return found


def _are_equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    try:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what remains of a session: the driver, and the processes of its Ray that do not end with it."""
    for number in _group(process.pid):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def workers_of(process: subprocess.Popen[bytes]) -> Sequence[psutil.Process]:
    """List the processes of its Ray that train, or wait to."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if _name(child).startswith("ray::ImplicitFunc")]
    except psutil.NoSuchProcess:
        return []


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return ""


def _group(leader: int) -> list[int]:
    """List the processes of a session, including those whose parent has died."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                found.append(process.pid)
        except (ProcessLookupError, PermissionError):
            continue
    return found
