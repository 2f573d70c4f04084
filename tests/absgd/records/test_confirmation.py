"""Names of candidates, and which of them wins."""

from __future__ import annotations

import math

from absgd.records import best_name, is_best, winning_order


def test_names_of_the_best_are_distinguished_from_controls() -> None:
    assert is_best(best_name(3))
    assert not any(is_best(name) for name in ("ce", "base-lr", "balanced-softmax"))


def test_fewer_lost_runs_then_mean_then_loss_then_place_win() -> None:
    rising = [(0, 0.9, 0.3, 5), (0, 0.8, 0.3, 4), (0, 0.8, 0.4, 1), (0, 0.8, 0.4, 2), (1, 0.9, 0.1, 0)]
    orders = [winning_order(*numbers) for numbers in rising]
    assert sorted(orders) == orders


def test_an_unknown_loss_is_behind_every_known_one() -> None:
    assert winning_order(0, 0.8, 1e9, 2) < winning_order(0, 0.8, None, 1) == winning_order(0, 0.8, math.nan, 1)
