"""A part in its own process, with its own time limit; its output goes to a file beside its record."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from absgd.child_process import end_with_parent
from absgd.errors import UserError
from absgd.training import gpu_names
from benchmarks.gpu.part_job import PartFailed, PartJob, PartOrder
from benchmarks.gpu.part_records import (
    FAILED,
    INTERRUPTED,
    PASSED,
    RUNNING,
    TIMED_OUT,
    PartRecord,
    read_record,
)
from benchmarks.gpu.part_table import HourPart
from benchmarks.harness.command_line import report_environment

STOP_WITHIN_S = 10.0
"""Time that the processes of a part have to end when they are asked to."""
LAST_LINES = 20
PROGRAM = "python -m benchmarks.gpu"


def run_part(
    part: HourPart, folder: Path, is_dry_run: bool, limit_s: float, data_root: str | None = None
) -> PartRecord:
    """Run a part to its end, or to that of its time; return its record, which is in its file too.

    Args:
        part: what to run.
        folder: the hour's folder.
        is_dry_run: whether it runs on a CPU at toy sizes.
        limit_s: seconds after which it is ended.
        data_root: folder of Fashion-MNIST; None: that of Debian's package.

    Raises:
        KeyboardInterrupt: after the part's processes have been ended and its record has been written.
    """
    PartRecord(part.number, is_dry_run, RUNNING, limit_s).write(folder, part)
    started = time.monotonic()
    order = PartOrder(part, folder, is_dry_run, started + limit_s, data_root)
    process = multiprocessing.get_context("spawn").Process(target=_serve_part, args=(order,))
    status, message = INTERRUPTED, "interrupted"
    try:
        process.start()
        process.join(limit_s)
        status, message = _ending(process, folder, part, limit_s)
    finally:
        _end_group(process)
        kept = read_record(folder, part)
        assert kept is not None, "the record was written at the start"
        last_lines = () if status == PASSED else tuple(output_lines(folder, part)[-LAST_LINES:])
        wall_s = time.monotonic() - started
        record = dataclasses.replace(kept, status=status, message=message, last_lines=last_lines, wall_s=wall_s)
        record.write(folder, part)
    return record


def output_path(folder: Path, part: HourPart) -> Path:
    """Return the file of a part's output."""
    return folder / f"{part.stem}.log"


def output_lines(folder: Path, part: HourPart) -> list[str]:
    """Return the lines of a part's output that are not empty."""
    path = output_path(folder, part)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [line for line in text.splitlines() if line.strip()]


def _ending(process: SpawnProcess, folder: Path, part: HourPart, limit_s: float) -> tuple[str, str]:
    """Return the status of a part, and why it did not pass."""
    code = process.exitcode
    if code is None:
        return TIMED_OUT, f"it took longer than its {limit_s:.0f} s"
    if code == 0:
        return PASSED, ""
    if code < 0:
        return FAILED, f"its process was ended by {signal.Signals(-code).name}"
    return FAILED, (output_lines(folder, part) or [f"its process ended with exit status {code}"])[-1]


def _end_group(process: SpawnProcess) -> None:
    """End the process of a part and all that it started; the parts lead their own process groups."""
    if process.pid is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        process.join(STOP_WITHIN_S)
        if process.exitcode is not None and number == signal.SIGTERM:
            _wait_for_group(process.pid)
    process.kill()
    process.join()


def _wait_for_group(group: int) -> None:
    """Wait until all processes of a group have ended, for a bounded time."""
    until = time.monotonic() + STOP_WITHIN_S
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.05)


def _serve_part(order: PartOrder) -> None:
    """Run a part in this process, the first of its group, with its output in a file."""
    os.setsid()
    end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("it was ended"))  # so that temporary folders are removed
    _write_output_to(output_path(order.folder, order.part))
    if order.is_dry_run:  # at toy sizes threads wait for each other, longest where other work runs
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)
    kept = read_record(order.folder, order.part)
    assert kept is not None, "the record was written at the start"
    record = dataclasses.replace(kept, environment=report_environment(PROGRAM, gpu_names()))
    record.write(order.folder, order.part)
    try:
        import_module(order.part.module).measure(PartJob(order, record))
    except (PartFailed, UserError) as error:
        sys.exit(str(error))
    except ModuleNotFoundError as error:
        sys.exit(f"it needs the package {error.name}, which is not installed")


def _write_output_to(path: Path) -> None:
    """Send the output of this process, and of those that it starts, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
