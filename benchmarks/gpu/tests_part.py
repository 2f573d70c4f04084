"""Part 2: every test that is skipped without a GPU."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from benchmarks.gpu.part_job import PartJob, texts
from benchmarks.gpu.part_records import NOT_MEASURED, PartSection

ROOT = Path(__file__).parents[2]
MARK = "needs_gpu"
"""Name of the decorator of these tests, from `tests/support/gpus.py`."""
FIRST_WORDS = 300
"""Most characters of a failed test's message."""


class PytestOutcome(NamedTuple):
    """The outcome of one test."""

    name: str
    outcome: str
    """`passed`, `failed`, `error` or `skipped`."""
    seconds: float
    message: str


def measure(job: PartJob) -> None:
    """Run the tests."""
    job.measure("Tests", lambda: outcome_section(gpu_test_outcomes(gpu_test_files(ROOT)), job.is_dry_run))
    job.finish()


def gpu_test_files(root: Path) -> list[Path]:
    """Return the test modules of a checkout that have tests which need a GPU: others need not be importable."""
    modules = sorted((root / "tests").rglob("test_*.py"))
    return [path.relative_to(root) for path in modules if f"@{MARK}" in path.read_text(encoding="utf-8")]


def gpu_test_outcomes(files: Sequence[Path]) -> list[PytestOutcome]:
    """Run the tests of these files that need a GPU, one after another.

    Raises:
        RuntimeError: if pytest could not run them.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "gpu", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *words, *map(str, files)]
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"pytest ended with exit status {done.returncode}")
        return outcomes_of(report.read_text(encoding="utf-8"))


def outcomes_of(report: str) -> list[PytestOutcome]:
    """Read the outcomes in a report of pytest's `--junitxml`."""
    return [_outcome(case) for case in ElementTree.fromstring(report).iter("testcase")]


def outcome_section(outcomes: Sequence[PytestOutcome], is_dry_run: bool) -> PartSection:
    """Count outcomes and name the tests that did not pass; without a GPU all are skipped, and that is right."""
    counts = {kind: sum(one.outcome == kind for one in outcomes) for kind in ("passed", "failed", "error", "skipped")}
    lines = [", ".join(f"{count} {kind}" for kind, count in counts.items())]
    lines += [f"{one.seconds:7.1f} s  {one.outcome:<7}  {one.name}" for one in outcomes]
    wrong = [one for one in outcomes if one.outcome != ("skipped" if is_dry_run else "passed")]
    faults = [f"{one.name} {one.outcome}: {one.message}" for one in wrong]
    if not outcomes:
        faults.append("no test was found")
    if is_dry_run:
        lines.append(f"{NOT_MEASURED}: there is no GPU")
    return PartSection("", texts(lines), list(outcomes), faults=tuple(faults))


def _outcome(case: ElementTree.Element) -> PytestOutcome:
    name = f"{case.get('classname', '')}.{case.get('name', '')}"
    for kind, word in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        found = case.find(kind)
        if found is not None:
            message = " ".join((found.get("message") or "").split())[:FIRST_WORDS]
            return PytestOutcome(name, word, float(case.get("time", 0)), message)
    return PytestOutcome(name, "passed", float(case.get("time", 0)), "")
