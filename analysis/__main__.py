"""`python -m analysis` is absgd-report, also where no such command is on the path."""

from __future__ import annotations

from analysis.cli import main

main()
