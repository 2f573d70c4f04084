"""absgd-report for a program that needs it soon: `python -m analysis.prepared ARGUMENT...`.

It imports what a report needs, waits for a line on standard input, and then is absgd-report with these arguments. It
ends where standard input ends instead.
"""

from __future__ import annotations

import sys

from absgd.whole_imports import import_whole

_NEEDED = ("analysis.report.html_report", "analysis.questions.optuna_importance", "scipy.stats", "scipy.optimize")
"""Modules that a report imports when it needs them; with all that they import."""


def main() -> None:
    """Prepare, wait, report."""
    for module in _NEEDED:
        import_whole(module)
    from analysis.cli import main as report

    if sys.stdin.readline():
        report()


if __name__ == "__main__":
    main()
