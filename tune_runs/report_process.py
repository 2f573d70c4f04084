"""The report of a search, written by absgd-report in a process of its own: the two packages meet in files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from absgd import records
from absgd.records import Verdict
from absgd.terminal import shortened, warn
from tune_runs.console_table import print_whole

REPORT_S = 900.0
"""Most time that the report of a search may take; one of 1000 trials takes seconds."""


@contextmanager
def report_process(folder: Path) -> Iterator[ReportProcess]:
    """Yield the process that writes the report of a run folder; it ends with the block."""
    process = ReportProcess(folder)
    try:
        yield process
    finally:
        process.end()


class ReportProcess:
    """absgd-report, which judges the results and writes their page; it reads only the run's files.

    It imports from the same places as this process, and not from the current folder. Ctrl-C does not reach it.

        process.prepare()               # it may import what it needs, and then waits
        process.begin()                 # the records are complete
        process.verdicts(console)

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._verdicts = shortened(folder), shortened(folder) / records.VERDICTS_FILE
        self._process: subprocess.Popen[bytes] | OSError | None = None

    def prepare(self) -> None:
        """Start the process, which takes a second of a processor until it waits; the second time do nothing."""
        if self._process is not None:
            return
        words = ["-m", "analysis.prepared", "--verdicts", str(self._verdicts), "--", str(self._folder)]
        places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": places},
                start_new_session=True,
            )
        except OSError as error:
            self._process = error

    def begin(self) -> None:
        """Let the process read the records."""
        self.prepare()
        self._verdicts.unlink(missing_ok=True)
        if isinstance(self._process, subprocess.Popen) and self._process.stdin:
            with suppress(BrokenPipeError), self._process.stdin as told:
                told.write(b"\n")

    def verdicts(self, console: Console) -> list[Verdict]:
        """Wait for the report, and print where it is and what it has found.

        Returns:
            The verdicts; none if they could not be written.
        """
        problem = self._problem()
        if problem is not None:
            warn(f"no report was written{problem}; everything else is recorded")
        else:
            print_whole(console, f"report:  {self._folder / records.REPORT_FILE}")
        if not self._verdicts.exists():
            return []
        from tune_runs.confirmation.confirmation_table import verdict_facts

        found = records.read_verdicts(self._verdicts)
        console.print(verdict_facts(found))
        return found

    def end(self) -> None:
        """End the process if it still runs: nobody waits for its report."""
        if isinstance(self._process, subprocess.Popen):
            with self._process:
                self._process.kill()

    def _problem(self) -> str | None:
        """Wait for the process; return why it wrote nothing, as part of a sentence; None where it did."""
        assert self._process is not None, "begun before"
        if isinstance(self._process, OSError):
            return f" ({self._process})"
        try:
            status = self._process.wait(REPORT_S)
        except subprocess.TimeoutExpired as error:
            return f" ({error})"
        return "" if status else None
