"""Folders of the benchmarks in the checkout."""

from __future__ import annotations

from pathlib import Path

SPACES = Path(__file__).parents[1] / "spaces"
"""Search spaces of the benchmarks."""
RESULTS = Path(__file__).parents[1] / "results"
"""Committed reports and tables."""
