"""`python -m tune_runs` runs absgd-tune, also where that command is not on the path."""

from __future__ import annotations

from tune_runs.cli import main

if __name__ == "__main__":
    main()
