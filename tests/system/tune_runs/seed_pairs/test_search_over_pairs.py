"""A search over further seed pairs on curves, killed at every third moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.searches_over_pairs import assert_kills_leave_the_same_tables


@pytest.mark.parametrize("concurrent", [1, 3])
def test_a_kill_at_every_third_moment_leaves_the_same_tables(tmp_path: Path, concurrent: int) -> None:
    assert_kills_leave_the_same_tables(tmp_path, concurrent, every=3)
