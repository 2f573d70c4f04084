"""The command `benchmarks.gpu`: its requests, and which parts run, with made-up parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.part_records import FAILED, PASSED, RUNNING, TIMED_OUT, PartRecord, record_path
from benchmarks.gpu.part_table import PARTS, HourPart
from benchmarks.gpu.summary_page import SUMMARY


class PretendedParts:
    """Takes the place of `run_part`: notes what it is asked, and ends each part as it is told."""

    def __init__(self) -> None:
        self.statuses: dict[int, str] = {}
        self.asked: list[int] = []
        self.limits_s: list[float] = []
        self.interrupted_at: int | None = None

    def __call__(
        self, part: HourPart, folder: Path, is_dry_run: bool, limit_s: float, _data_root: str | None
    ) -> PartRecord:
        self.asked.append(part.number)
        self.limits_s.append(limit_s)
        status = self.statuses.get(part.number, PASSED)
        record = PartRecord(part.number, is_dry_run, status, limit_s, message="" if status == PASSED else "why")
        record.write(folder, part)
        if part.number == self.interrupted_at:
            raise KeyboardInterrupt
        return record


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> PretendedParts:
    pretended = PretendedParts()
    monkeypatch.setattr(gpu, "run_part", pretended)
    return pretended


def dry(folder: Path, *words: str) -> int:
    return gpu.main(["--out", str(folder), "--dry-run", *words])


def test_all_parts_run_in_their_order_within_the_time(parts: PretendedParts, tmp_path: Path) -> None:
    assert dry(tmp_path / "new" / "hour", "--minutes", "2") == 0
    assert parts.asked == [1, 2, 3, 4, 5, 6, 7]
    assert parts.limits_s[0] == pytest.approx(120 * PARTS[0].share / 60, rel=0.1)
    assert "| 7. Where the time of an epoch goes | passed |" in (tmp_path / "new" / "hour" / SUMMARY).read_text()


def test_part_that_does_not_pass_is_followed_by_the_next(parts: PretendedParts, tmp_path: Path) -> None:
    parts.statuses = {2: FAILED, 5: TIMED_OUT}
    assert dry(tmp_path) == 1
    assert parts.asked == [1, 2, 3, 4, 5, 6, 7]
    assert "**Timed out**: why" in (tmp_path / SUMMARY).read_text()


def test_second_call_runs_what_has_not_passed(parts: PretendedParts, tmp_path: Path) -> None:
    parts.statuses = {2: FAILED, 5: TIMED_OUT}
    dry(tmp_path)
    parts.statuses, parts.asked = {}, []
    assert dry(tmp_path) == 0
    assert parts.asked == [2, 5]
    assert dry(tmp_path) == 0
    assert parts.asked == [2, 5]


def test_parts_that_are_asked_for_run_again(parts: PretendedParts, tmp_path: Path) -> None:
    dry(tmp_path)
    parts.statuses, parts.asked = {1: FAILED}, []
    assert dry(tmp_path, "--parts", "4,1") == 1
    assert parts.asked == [1, 4]


def test_interrupted_hour_leaves_its_page(
    parts: PretendedParts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts.interrupted_at = 3
    assert dry(tmp_path) == 130
    assert parts.asked == [1, 2, 3]
    assert "interrupted; the same command goes on" in capsys.readouterr().err
    assert "| 3. The same numbers on every path |" in (tmp_path / SUMMARY).read_text()


def test_part_of_a_call_that_was_killed_is_not_called_running(parts: PretendedParts, tmp_path: Path) -> None:
    PartRecord(5, True, RUNNING, 60.0).write(tmp_path, PARTS[4])
    assert dry(tmp_path, "--parts", "1") == 0
    assert "**Interrupted**: the call that ran it was killed" in (tmp_path / SUMMARY).read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "argument --minutes: expected a positive number of minutes, got '0'"),
        (["--minutes", "-3"], "expected a positive number of minutes, got '-3'"),
        (["--minutes", "nan"], "expected a positive number of minutes, got 'nan'"),
        (["--minutes", "inf"], "expected a positive number of minutes, got 'inf'"),
        (["--minutes", "long"], "expected a positive number of minutes, got 'long'"),
        (["--parts", "8"], "argument --parts: expected numbers from 1 to 7, separated by commas, got '8'"),
        (["--data-root", "nowhere"], "expected an existing folder, got nowhere (--data-root)"),
        (["--out", "a\nb"], "--out"),
        (["--out", "pyproject.toml"], "expected a folder, got the file pyproject.toml (--out)"),
        (["--out", "pyproject.toml/hour"], "Not a directory"),
    ],
)
def test_wrong_request_is_refused_and_leaves_nothing(
    parts: PretendedParts, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        dry(tmp_path / "hour", *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not parts.asked
    assert not (tmp_path / "hour").exists()


def test_without_a_gpu_only_a_dry_run_is_possible(
    parts: PretendedParts, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main(["--out", str(tmp_path / "hour")])
    assert ended.value.code == 2
    assert "expected a GPU that torch can use, found none; --dry-run needs none" in capsys.readouterr().err
    assert not (tmp_path / "hour").exists()


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SystemExit) as ended:
        dry(folder)
    assert ended.value.code == 2
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    return capsys.readouterr().err


def test_folder_of_something_else_is_refused(
    parts: PretendedParts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert f"or one of an earlier call, got {tmp_path} with thesis.tex (--out)" in refused(tmp_path, capsys)
    assert not parts.asked


def test_dry_run_and_measurements_do_not_mix(
    parts: PretendedParts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PartRecord(1, False, PASSED, 60.0).write(tmp_path, PARTS[0])
    assert f"expected another folder, got {tmp_path}, written without --dry-run (--out)" in refused(tmp_path, capsys)
    record_path(tmp_path, PARTS[0]).write_text("{")
    assert "part-1-machine.json: remove it" in refused(tmp_path, capsys)
    assert not parts.asked
