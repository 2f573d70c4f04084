"""Imports for the first comparison of a confirmation."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from tune_runs.driver.early_imports import EarlyImports

imports = EarlyImports()
assert "scipy.special" not in sys.modules
imports.on_trial_result()
first = imports.thread
imports.on_trial_result()
assert imports.thread is first, "it is started once"
first.join()
known = set(sys.modules)

from absgd.comparisons import ClaimRules, PriorVariance, compare_at_look

scores = {name: {pair: pair + value for pair in (1, 2, 3)} for name, value in (("best-1", 0.9), ("ce", 0.8))}
compare_at_look("best-1", scores, ["ce"], ClaimRules(0.005), 3, prior=PriorVariance(1e-4, 8.0))
print(sorted(name for name in set(sys.modules) - known if name.startswith("scipy")))
"""


def test_first_comparison_imports_nothing_more() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
