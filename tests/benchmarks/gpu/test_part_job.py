"""The job of a part: measurements that are kept as they come, and rounds that fit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.gpu.part_job import PartFailed, PartJob, PartOrder, fitting_rounds, measured
from benchmarks.gpu.part_records import RUNNING, PartRecord, PartSection, read_record
from benchmarks.gpu.part_table import PARTS
from benchmarks.gpu.summary_page import SUMMARY
from benchmarks.harness.target_verdicts import TargetVerdict


def job_in(folder: Path, seconds: float = 60.0) -> PartJob:
    order = PartOrder(PARTS[0], folder, True, time.monotonic() + seconds, None)
    return PartJob(order, PartRecord(1, True, RUNNING, seconds))


def broken() -> PartSection:
    raise ArithmeticError("no\nnumber")


def test_each_measurement_is_in_the_record_and_on_the_page_at_once(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    job.measure("First", lambda: PartSection("", ("a row",), 3))
    kept = read_record(tmp_path, PARTS[0])
    assert kept is not None
    assert kept.sections == (PartSection("First", ("a row",), 3),)
    assert "### First" in (tmp_path / SUMMARY).read_text()
    job.finish()


def test_measurement_that_fails_takes_no_other_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_in(tmp_path)
    job.measure("First", broken)
    job.measure("Second", lambda: PartSection("", ("a row",), faults=("wrong",)))
    assert [section.title for section in job.record.sections] == ["First", "Second"]
    assert job.record.sections[0].lines == ("failed: ArithmeticError: no number",)
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(PartFailed, match=r"^First: ArithmeticError: no number; Second: wrong$"):
        job.finish()


def test_without_time_nothing_is_measured(tmp_path: Path) -> None:
    job = job_in(tmp_path, seconds=-1.0)
    job.measure("First", broken)
    assert job.record.sections[0].lines == ("not measured: no time was left",)
    with pytest.raises(PartFailed, match="First: no time was left"):
        job.finish()


@pytest.mark.parametrize(
    ("until", "rounds", "asked"),
    [(1.0, 3, [3]), (8.5, 3, [3]), (9.0, 4, [3, 4]), (100.0, 7, [3, 7])],
)
def test_rounds_fill_the_time_beside_the_first_ones(until: float, rounds: int, asked: list[int]) -> None:
    """A round takes a second, and each measurement one more to warm up."""
    clock, seen = [0.0], list[int]()

    def measure(count: int) -> str:
        seen.append(count)
        clock[0] += 1.0 + count
        return f"{count} rounds"

    assert fitting_rounds(measure, until, most=7, now=lambda: clock[0]) == (rounds, f"{rounds} rounds")
    assert seen == asked
    assert rounds == 3 or clock[0] <= until


def test_cases_share_the_time_that_is_left(tmp_path: Path) -> None:
    job = job_in(tmp_path, seconds=60.0)
    assert job.until_share(3) - time.monotonic() == pytest.approx(20.0, abs=5.0)


def test_targets_of_other_hardware_are_left_to_the_page() -> None:
    met, absent = TargetVerdict(True, "fast"), TargetVerdict(None, "faster")
    assert measured([met, absent]) == (met,)
