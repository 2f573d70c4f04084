"""A search under attack: the real command in a process of its own, and what its folder holds in the end."""

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
from absgd.yaml_text import dump_yaml
from benchmarks.command_line import CORES
from benchmarks.curves import SPACES
from tune_runs.driver.study import STUDY_FILE
from tune_runs.recording import recorder
from tune_runs.request.space_files import load_space, with_options
from tune_runs.space.model import SearchSpace

COMMAND = "import sys; from tune_runs.cli import main; sys.argv[0] = 'absgd-tune'; main()"
LIMIT_S = 900
"""Longer than any session takes here: one that is not done by then hangs."""
CLOCKS = ["run", "started_at", "wall_s", "restarts"]
INHERITANCE = ["epochs_trained", "epochs_inherited", "inherited"]
"""Columns of trials and epochs that tell who trained stage one."""
EPOCH_CLOCKS = ["run", *recorder.CLOCKS]


def faults_space(**changes: Any) -> SearchSpace:
    """The space that is searched, one trial at a time unless changed."""
    space = load_space(str(SPACES / "faults.yaml"))
    return with_options(space, {"resources": {"cpu": CORES, "gpu": 0}, **changes})


class Attacked:
    """A search in a folder of its own.

    Args:
        space: what is searched.
        folder: for the run, its space file and what it prints; made when absent.
        program: Python code that stands in for the command.
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
        """All that its sessions printed."""
        return self._printed.read_text() if self._printed.exists() else ""

    @contextmanager
    def session(self, *words: str, environment: Mapping[str, str] = os.environ) -> Iterator[subprocess.Popen[bytes]]:
        """Start it, or go on with it where it began; whatever is left of the process is killed with the block."""
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
        """A session to its end; its exit status.

        Raises:
            subprocess.TimeoutExpired: if it hangs.
        """
        with self.session(*words) as process:
            return process.wait(LIMIT_S)

    def wait_until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
        """Whether the condition came true before the process ended."""
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def trials(self) -> pd.DataFrame:
        """The trials as recorded, but for clocks."""
        return pd.read_parquet(self.run / records.TRIALS_FILE).drop(columns=CLOCKS)

    def epochs(self) -> pd.DataFrame:
        """The epochs as recorded, but for clocks, in the order of trial and epoch."""
        rows = pd.read_parquet(self.run / records.EPOCHS_FILE).drop(columns=EPOCH_CLOCKS)
        return rows.sort_values(["trial_id", "epoch"]).reset_index(drop=True)

    def restarts(self) -> int:
        """Times that a run went on in another process."""
        return int(pd.read_parquet(self.run / records.TRIALS_FILE).restarts.sum())

    def checkpoints(self) -> list[Path]:
        """Of runs, the newest first."""
        return sorted(self.run.glob("scenarios/*/checkpoints/*/epoch-*.pt"), key=lambda path: -path.stat().st_mtime_ns)

    def told(self) -> list[tuple[Any, ...]]:
        """What the study knows of each trial."""
        (journal,) = self.run.glob(f"scenarios/*/{STUDY_FILE}")
        storage = JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.load_study(study_name=journal.parent.name, storage=storage)
        return [(one.number, one.state.name, one.params, one.value) for one in study.trials]


def differences(whole: Attacked, other: Attacked, in_order: bool = True, ignored: Sequence[str] = ()) -> list[str]:
    """In what two finished searches differ, but for clocks; nothing where the attacked one lost nothing.

    Args:
        whole: never attacked.
        other: attacked.
        in_order: whether trials must stand in the same order, as they do when one trains at a time.
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
    if whole.told() != other.told():
        found.append("study")
    if any(state == "RUNNING" for _, state, *_ in other.told()):
        found.append("a trial left RUNNING")
    return found


def _are_equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    try:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a session: the driver, and of its Ray what does not end with it."""
    for number in _group(process.pid):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def workers_of(process: subprocess.Popen[bytes]) -> Sequence[psutil.Process]:
    """The processes of its Ray that train, or wait to."""
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
    """Processes of a session, also those whose parent has died."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                found.append(process.pid)
        except (ProcessLookupError, PermissionError):
            continue
    return found
