"""The command of `benchmarks.load_results`, which measures in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_command_prints_ratio_and_targets(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    words = ["-m", "benchmarks.load_results", "--trials", "4", "--epochs", "3", "--rounds", "1", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, *words], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Ray / ours:" in done.stdout
    assert set(json.loads(out.read_text())) >= {"sides", "ratio", "memory", "environment"}
