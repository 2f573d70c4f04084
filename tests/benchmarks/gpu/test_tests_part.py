"""Part 2: which tests it finds, and what it reads in pytest's report."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu.tests_part import ROOT, PytestOutcome, gpu_test_files, outcome_section, outcomes_of

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="tests.a" name="test_one[ce]" time="0.5" />
<testcase classname="tests.a" name="test_two" time="1.0">
<failure message="AssertionError:&#10; assert 1 == 2">long</failure></testcase>
<testcase classname="tests.b" name="test_three" time="0.0">
<skipped type="pytest.skip" message="there is no GPU">x</skipped></testcase>
<testcase classname="" name="tests.c" time="0.0"><error message="collection failure">no module</error></testcase>
</testsuite></testsuites>"""


def test_outcomes_are_read_with_their_messages() -> None:
    assert outcomes_of(REPORT) == [
        PytestOutcome("tests.a.test_one[ce]", "passed", 0.5, ""),
        PytestOutcome("tests.a.test_two", "failed", 1.0, "AssertionError: assert 1 == 2"),
        PytestOutcome("tests.b.test_three", "skipped", 0.0, "there is no GPU"),
        PytestOutcome(".tests.c", "error", 0.0, "collection failure"),
    ]


def test_on_a_gpu_every_test_must_pass() -> None:
    section = outcome_section(outcomes_of(REPORT), is_dry_run=False)
    assert section.lines[0] == "1 passed, 1 failed, 1 error, 1 skipped"
    assert [fault.partition(":")[0] for fault in section.faults] == [
        "tests.a.test_two failed",
        "tests.b.test_three skipped",
        ".tests.c error",
    ]


def test_without_a_gpu_every_test_must_be_found_and_skipped() -> None:
    skipped = [one for one in outcomes_of(REPORT) if one.outcome == "skipped"]
    assert outcome_section(skipped, is_dry_run=True).faults == ()
    assert outcome_section([], is_dry_run=True).faults == ("no test was found",)
    assert len(outcome_section(outcomes_of(REPORT), is_dry_run=True).faults) == 3


def test_every_test_that_is_skipped_without_a_gpu_is_found() -> None:
    own_condition = "skipif(not torch.cuda.is_available()"
    modules = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    assert [path.name for path in modules if own_condition in path.read_text()] == ["gpus.py"]
    found = gpu_test_files(ROOT)
    assert Path("tests/absgd/training/test_steps.py") in found
    assert Path("tests/system/tune_runs/preview/test_probe_processes.py") in found
    assert all((ROOT / path).is_file() for path in found)
