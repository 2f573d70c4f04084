"""Wall time of the quickstart, with its confirmation and its report, beside a bare loop over the same epochs."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from absgd import records
from benchmarks.harness.command_line import CORES
from benchmarks.harness.target_verdicts import TargetVerdict
from benchmarks.search_cost.bare_loop import BareLoop
from benchmarks.search_cost.search_runs import epoch_seconds, read_run, run_command
from tune_runs.request.space_files import load_space

MOST_TO_IDEAL = 1.6
"""Largest accepted wall time over the ideal."""
MOST_S = 60.0
"""Largest accepted wall time, in seconds."""


@dataclasses.dataclass(frozen=True)
class QuickstartRepeat:
    """One run of the command, compared with the bare loop measured before it."""

    epochs: int
    """Epochs of the search, of its further pairs and of its confirmation."""
    wall_s: float
    """Duration of the process, the report included."""
    ideal_s: float
    """Duration of its epochs at the speed of the bare loop, on all cores."""
    epochs_s: float
    """Duration of its epochs in the run, on all cores."""
    start_s: float
    """Time until the first run is handed to Ray."""
    end_s: float
    """Time after the end of the last run."""


def measure_quickstart(loop: BareLoop, repeats: int) -> list[QuickstartRepeat]:
    """Run the command on the shipped quickstart space."""
    space = load_space("quickstart")
    measured = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            began, started = time.time(), time.perf_counter()
            run = run_command(space, Path(folder))
            wall_s = time.perf_counter() - started
            trials, epochs = read_run(run)
        num_epochs = sum(not row[records.INHERITED] for row in epochs)
        trial = next(row for row in trials if row["phase"] == "search")
        first = min(trials, key=lambda row: row["started_at"])
        measured.append(
            QuickstartRepeat(
                epochs=num_epochs,
                wall_s=wall_s,
                ideal_s=num_epochs * loop.epoch_s(records.config_of(trial)) / CORES,
                epochs_s=sum(epoch_seconds(epochs).values()) / CORES,
                start_s=first["started_at"].timestamp() - began,
                end_s=began + wall_s - max(row["started_at"].timestamp() + row["wall_s"] for row in trials),
            )
        )
    return measured


def quickstart_lines(measured: Sequence[QuickstartRepeat]) -> Iterator[str]:
    """Give a table of the runs, line by line."""
    yield "| quickstart | epochs | wall, s | ideal, s | its epochs, s | start, s | end, s | wall over ideal |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for number, one in enumerate(measured, start=1):
        seconds = (one.wall_s, one.ideal_s, one.epochs_s, one.start_s, one.end_s)
        words = " | ".join(f"{value:.1f}" for value in seconds)
        yield f"| {number} | {one.epochs} | {words} | {one.wall_s / one.ideal_s:.2f} |"


def quickstart_verdicts(measured: Sequence[QuickstartRepeat]) -> list[TargetVerdict]:
    """Compare the medians with their targets."""
    ratio = statistics.median(one.wall_s / one.ideal_s for one in measured)
    wall_s = statistics.median(one.wall_s for one in measured)
    return [
        TargetVerdict(
            ratio <= MOST_TO_IDEAL, f"quickstart: {ratio:.2f} times the ideal wall time, at most {MOST_TO_IDEAL}"
        ),
        TargetVerdict(wall_s <= MOST_S, f"quickstart: {wall_s:.1f} s, at most {MOST_S:g} s"),
    ]
