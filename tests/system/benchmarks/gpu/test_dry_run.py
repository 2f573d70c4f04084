"""The whole of a GPU's first hour on a CPU, at toy sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.part_records import NOT_MEASURED, PASSED, read_records
from benchmarks.gpu.part_table import PARTS
from benchmarks.gpu.summary_page import SUMMARY

ROOT = Path(__file__).parents[4]


def test_dry_run_passes_every_part_and_leaves_a_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path), "--dry-run", "--minutes", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    records = read_records(tmp_path)
    others = {number: one for number, one in records.items() if one.status != PASSED}
    assert done.returncode == 0, [(number, one.status, one.message, *one.last_lines) for number, one in others.items()]
    assert {number: record.status for number, record in records.items()} == {part.number: PASSED for part in PARTS}
    titles = {number: [section.title for section in record.sections] for number, record in records.items()}
    assert titles[3] == [
        "Exact path against the CPU",
        "Fast against exact",
        "Captured steps against eager ones",
        "Resume and fork against a run from scratch",
    ]
    assert titles[5] == ["ResNet-8, 28x28x1, packing", "ResNet-8, 28x28x1, prototypes"]
    assert titles[6][-1] == "Beside each other"
    same = json.loads((tmp_path / f"{PARTS[2].stem}.json").read_text())["sections"][3]["values"]
    assert all(one["same_bits"] for one in same.values())
    page = (tmp_path / SUMMARY).read_text()
    for part in PARTS:
        for target in part.targets:
            assert f"- {NOT_MEASURED}: {target}" in page
