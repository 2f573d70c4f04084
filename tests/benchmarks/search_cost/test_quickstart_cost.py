"""The table and the targets of the quickstart's wall time, from made-up runs."""

from __future__ import annotations

import pytest

from benchmarks.search_cost.quickstart_cost import QuickstartRepeat, quickstart_lines, quickstart_verdicts


def repeat(wall_s: float, ideal_s: float) -> QuickstartRepeat:
    return QuickstartRepeat(epochs=600, wall_s=wall_s, ideal_s=ideal_s, epochs_s=30.0, start_s=4.0, end_s=3.0)


def test_each_run_is_a_row() -> None:
    *_, row = quickstart_lines([repeat(50, 20), repeat(60, 40)])
    assert row == "| 2 | 600 | 60.0 | 40.0 | 30.0 | 4.0 | 3.0 | 1.50 |"


@pytest.mark.parametrize(
    ("runs", "met"),
    [
        ([(48, 30), (90, 10), (40, 35)], (True, True)),
        ([(59, 30), (60, 30), (90, 30)], (False, True)),
        ([(61, 60), (62, 60), (20, 19)], (True, False)),
    ],
)
def test_medians_are_compared_with_both_targets(runs: list[tuple[float, float]], met: tuple[bool, bool]) -> None:
    found = quickstart_verdicts([repeat(*run) for run in runs])
    assert tuple(one.is_met for one in found) == met
