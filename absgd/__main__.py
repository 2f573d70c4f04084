"""`python -m absgd` runs absgd-train, also where that command is not on the path."""

from __future__ import annotations

from absgd.cli import main

if __name__ == "__main__":
    main()
