"""The replay of searches for two metrics."""

from __future__ import annotations

from benchmarks.complete_curves.curve_tables import TrialCurve
from benchmarks.pareto_stopping import front_area, paid_for


def test_area_of_a_front_counts_what_is_above_its_corner_once() -> None:
    points = [(0.5, 0.5), (0.9, 0.1), (0.4, 0.4), (0.05, 0.9), (0.5, 0.5)]
    steps = 1000
    cells = [((i + 0.5) / steps, (j + 0.5) / steps) for i in range(100, steps) for j in range(50, steps, 10)]
    inside = sum(any(one > x and other > y for one, other in points) for x, y in cells) * 10 / steps**2
    assert abs(front_area(points, (0.1, 0.05)) - inside) < 0.01


def test_epochs_pay_for_the_first_trials_and_for_at_least_one() -> None:
    order = [TrialCurve(number, 0, dict.fromkeys(range(5), 0.5), 1.0) for number in range(4)]
    assert [len(paid_for(order, epochs)) for epochs in (0, 9, 10, 99)] == [1, 1, 2, 4]
