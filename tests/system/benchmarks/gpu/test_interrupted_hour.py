"""An hour that is interrupted while a part runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.gpu.part_records import INTERRUPTED, read_record
from benchmarks.gpu.part_table import PARTS
from benchmarks.gpu.summary_page import SUMMARY
from tests.support.waiting import TIMEOUT_S, wait_until

ROOT = Path(__file__).parents[4]
PACKING = PARTS[4]


def test_interrupted_part_is_recorded_and_its_processes_are_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path), "--dry-run", "--parts", "5"]
    hour = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    of_hour = psutil.Process(hour.pid)
    wait_until(lambda: len(of_hour.children(recursive=True)) >= 4, hour)  # the part, and runs that it trains at once
    started = of_hour.children(recursive=True)
    hour.send_signal(signal.SIGTERM)
    _, said = hour.communicate(timeout=TIMEOUT_S)
    assert hour.returncode == 130
    assert said.splitlines()[-1] == f"interrupted; the same command goes on: {tmp_path / SUMMARY}"
    record = read_record(tmp_path, PACKING)
    assert record is not None
    assert record.status == INTERRUPTED
    assert "| 5. Several runs on one GPU | **interrupted** |" in (tmp_path / SUMMARY).read_text()
    wait_until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in started))
