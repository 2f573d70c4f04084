"""`python -m analysis` runs absgd-report, also where that command is not on the path."""

from __future__ import annotations

from analysis.cli import main

if __name__ == "__main__":
    main()
