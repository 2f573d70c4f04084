"""Early stopping by two metrics, against fronts found by comparing all pairs of points."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from absgd.records import pareto_ranks
from tests.support.fake_tuner import make_space
from tune_runs.stopping.pareto_stopping import ParetoStopping, is_dominated
from tune_runs.stopping.rungs import Rung, early_stopping
from tune_runs.stopping.stopping_rules import ScenarioStopping

RUNG = Rung(1, "epochs", 2)


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and tuple(one) != tuple(other)


def fronts_by_pairs(points: Sequence[tuple[float, float]]) -> list[int]:
    ranks, left, front = [0] * len(points), set(range(len(points))), 0
    while left:
        best = {one for one in left if not any(beats(points[other], points[one]) for other in left)}
        for one in best:
            ranks[one] = front
        left, front = left - best, front + 1
    return ranks


@pytest.mark.parametrize("seed", range(50))
def test_fronts_are_those_of_all_pairs(seed: int) -> None:
    source = random.Random(seed)
    points = [(float(source.randint(0, 5)), float(source.randint(0, 5))) for _ in range(source.randint(0, 15))]
    assert pareto_ranks(points) == fronts_by_pairs(points)


def test_trial_that_none_beats_in_both_passes() -> None:
    assert not is_dominated([(0.9, 0.1), (0.8, 0.2), (0.7, 0.3), (0.6, 0.4)], RUNG)


def test_trial_behind_half_of_the_others_in_both_stops() -> None:
    assert is_dominated([(0.9, 0.1), (0.8, 0.2), (0.7, 0.05)], Rung(1, "epochs", 3))
    assert not is_dominated([(0.9, 0.5), (0.1, 0.1), (0.2, 0.2)], RUNG), "second of three, two of which pass"


def judge(rule: str = "asha", control: float = 0.5) -> ParetoStopping:
    stopping = early_stopping(make_space(early_stopping={"rule": rule, "reduction_factor": 2, "grace_period": None}))
    one, other = (ScenarioStopping(stopping, mode, lambda _: control) for mode in ("max", "min"))
    return ParetoStopping(stopping, (one, other))


@pytest.mark.parametrize("rule", ["asha", "age", "advantage", "mean_advantage", "age_then_epoch"])
def test_pareto_stopping_compares_both_metrics_in_their_directions(rule: str) -> None:
    found = judge(rule)
    behind = {"a": False, "b": False, "c": False}
    for epoch in range(3, 10):
        for name, values in (("a", (0.9, 0.1)), ("b", (0.8, 0.05)), ("c", (0.7, 0.3))):
            behind[name] = behind[name] or found.falls_behind(name, 3, epoch, values)
    assert behind == {"a": False, "b": False, "c": True}


def test_verdict_depends_on_earlier_arrivals_alone() -> None:
    found = judge()
    assert [found.falls_behind(name, 3, 9, (value, 0.5)) for name, value in (("a", 0.1), ("b", 0.9))] == [False, False]
    assert not found.falls_behind("a", 3, 9, (0.1, 0.5)), "reported again"
