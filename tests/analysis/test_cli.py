"""absgd-report starts without the libraries that it may not need."""

from __future__ import annotations

import subprocess
import sys


def test_plotly_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, analysis, analysis.cli, analysis.report.text_report; "
        "print([name for name in ('plotly', 'torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
