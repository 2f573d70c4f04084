"""The page of an hour, from made-up records."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu.part_records import FAILED, PASSED, RUNNING, PartRecord, PartSection
from benchmarks.gpu.part_table import PARTS
from benchmarks.gpu.summary_page import SUMMARY, summary_lines, write_summary
from benchmarks.harness.target_verdicts import TargetVerdict

ABOUT = {
    "python": "3.12.3",
    "packages": {"torch": "2.11.0"},
    "gpus": ["a card"],
    "git_sha": "0123456789abcdef",
    "cpu": "c",
}


def page(*records: PartRecord) -> str:
    return "\n".join(summary_lines({record.number: record for record in records}))


def test_what_was_not_run_is_not_measured_and_keeps_its_targets() -> None:
    lines = page().splitlines()
    assert lines.count("Not measured.") == len(PARTS)
    targets = [target for part in PARTS for target in part.targets]
    assert [line for line in lines if line.startswith("- ")] == [f"- not measured: {target}" for target in targets]
    assert not any("dry run" in line for line in lines)


def test_measurement_stands_with_its_targets_and_where_it_was_made() -> None:
    verdicts = (
        TargetVerdict(True, "of peer at least 5, got 7"),
        TargetVerdict(False, "of bound at least 0.8, got 0.7"),
    )
    section = PartSection("ResNet-32", ("row one", "~~~"), None, verdicts)
    text = page(PartRecord(4, False, PASSED, 660.0, 300.4, environment=ABOUT, sections=(section,)))
    assert "| passed | 300 | 660 | a card | Python 3.12.3, torch 2.11.0, commit 0123456789ab |" in text
    assert (
        "### ResNet-32\n\n~~~text\nrow one\n~ ~ ~\n~~~\n\n- met: of peer at least 5, got 7\n- MISSED: of bound" in text
    )
    assert "not measured: a fast run" not in text


def test_part_that_failed_shows_message_faults_and_last_lines() -> None:
    section = PartSection("Tests", ("1 failed",), faults=("test_x failed: no",))
    text = page(PartRecord(2, True, FAILED, 9.0, 8.0, "Tests: test_x", ("end of", "output"), ABOUT, (section,)))
    assert "**A dry run on a CPU" in text
    assert "| **failed** | 8 | 9 | c |" in text, "a dry run has not used the card"
    assert "## 2. Tests that need a GPU\n\n**Failed**: Tests: test_x" in text
    assert "- WRONG: test_x failed: no" in text
    assert "Last lines of its output:\n\n~~~text\nend of\noutput\n~~~" in text


def test_page_is_written_from_the_records_of_a_folder(tmp_path: Path) -> None:
    PartRecord(1, False, RUNNING, 9.0).write(tmp_path, PARTS[0])
    write_summary(tmp_path)
    assert "| 1. What is there | running |" in (tmp_path / SUMMARY).read_text()
