"""The runs at the ends of every range, with every choice."""

from __future__ import annotations

from tests.support.spaces import make
from tune_runs.space.boundary import boundary_runs, covers_every_combination


def test_corners_are_both_ends_of_every_range_with_every_choice() -> None:
    space = make({"search/lam": {"low": 0.5, "high": 50, "sign": [1, -1]}, "search/batch_size": {"choices": [16, 32]}})
    ends = ((0.5, 8), (50, 12))
    values = [value for value, _ in boundary_runs(space, space.scenario_list[0])]
    found = [(value["lam"], value["switch_epoch"], value["batch_size"]) for value in values]
    assert found == [(sign * lam, switch, size) for sign in (1, -1) for size in (16, 32) for lam, switch in ends]
    assert covers_every_combination(space.search)


def test_corners_of_many_choices_hold_each_of_them() -> None:
    choices = [n / 10 for n in range(1, 10)]
    space = make({f"search/{key}": {"choices": choices} for key in ("gamma", "ab_alpha", "model.dropout")})
    values = [value for value, _ in boundary_runs(space, space.scenario_list[0])]
    assert not covers_every_combination(space.search)
    assert len(values) < 9**3
    for name in ("gamma", "ab_alpha", "model.dropout"):
        assert {value[name] for value in values} == set(choices)
