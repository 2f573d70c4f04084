"""Parts of a GPU's hour in real processes, which end in every way."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from benchmarks.gpu.part_process import run_part
from benchmarks.gpu.part_records import FAILED, PASSED, TIMED_OUT, read_record
from tests.support.gpu_parts import CHILD, part_that
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("passes", PASSED, ""),
        ("fails", FAILED, "two numbers differ"),
        ("raises", FAILED, "ArithmeticError: a surprise"),
        ("dies", FAILED, "its process was ended by SIGKILL"),
    ],
)
def test_part_is_recorded_however_it_ends(tmp_path: Path, name: str, status: str, message: str) -> None:
    record = run_part(part_that(name), tmp_path, is_dry_run=True, limit_s=120.0)
    assert (record.status, record.message) == (status, message)
    assert record == read_record(tmp_path, part_that(name))
    assert record.environment["packages"]["torch"]
    assert [section.values for section in record.sections] == [{"value": 1.5}], "kept before the end"
    assert ("the last line" in record.last_lines) == (status != PASSED)


def test_part_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    record = run_part(part_that("hangs"), tmp_path, is_dry_run=True, limit_s=30.0)
    assert (record.status, record.message) == (TIMED_OUT, "it took longer than its 30 s")
    assert record.sections[0].title == "Begun"
    child = int((tmp_path / CHILD).read_text())
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
