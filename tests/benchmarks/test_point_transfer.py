"""Points of a neighbour tried first: which are taken, when, and what the comparison says of them."""

from __future__ import annotations

import math
import random

import numpy as np
import optuna
import pandas as pd
import pytest

from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN, PairCells, PairCurves
from benchmarks.complete_curves.surrogate_scenario import SurrogateScenario, chosen_under
from benchmarks.point_transfer.replayed_transfers import nearest_trials, replayed_rows
from benchmarks.point_transfer.sampled_transfers import SAMPLED_WAYS, sampled_rows
from benchmarks.point_transfer.transfer_tables import compared_ways, equal_gain_table, way_table
from benchmarks.point_transfer.transfer_ways import WAYS, WITHOUT, TransferWay, with_points_at
from tests.support.small_curves import cell_of, curve

NUM_TRIALS = 8


def cells(shift: int) -> PairCells:
    """Return curves of 24 trials on four seeds, of which the one numbered `shift` is by far the best."""
    curves = tuple(curve(number, 8, 0.9 if number == shift else 0.5 + 0.001 * number) for number in range(24))
    return {seed: PairCurves(cell_of(*curves, seed=seed)) for seed in range(4)}


def mean_gains(source: PairCells, target: PairCells) -> pd.Series[float]:
    rows = pd.DataFrame(replayed_rows(source, target, range(24), [], NUM_TRIALS, draws=40))
    return rows.groupby("way").gain.mean()


def test_points_of_a_neighbour_with_the_same_best_point_gain() -> None:
    gains = mean_gains(cells(5), cells(5))
    assert gains["first, best 3"] > gains["halfway, best 3"] > gains["without"]
    assert gains["first, random 3"] < gains["first, best 3"]


def sloping(slope: float) -> PairCells:
    """Return curves of 24 trials on four seeds, each better than the one before it, or worse."""
    curves = tuple(curve(number, 8, 0.6 + slope * number) for number in range(24))
    return {seed: PairCurves(cell_of(*curves, seed=seed)) for seed in range(4)}


def test_misleading_points_lose() -> None:
    rising, falling = sloping(0.01), sloping(-0.01)
    misled, led = mean_gains(falling, rising), mean_gains(rising, rising)
    assert misled["first, best 3"] < misled["without"] < led["first, best 3"]
    assert led["first, worst 3"] < led["without"]


def test_points_are_taken_once_and_after_the_own_ones() -> None:
    assert with_points_at([1, 2, 3, 4], 2, [2, 9], 4) == [1, 2, 9, 3]
    assert with_points_at([1, 2, 3, 4], 0, [4, 9], 4) == [4, 9, 1, 2]
    assert with_points_at([1, 2], 0, [], 2) == [1, 2]


@pytest.mark.parametrize(
    ("way", "known", "place"),
    [(WITHOUT, 0, 0), (TransferWay("halfway", 3), 8, 8), (TransferWay("first", 3), 16, 0)],
)
def test_ways_know_what_is_done_at_their_moment(way: TransferWay, known: int, place: int) -> None:
    assert (way.num_done(16), way.place(16)) == (known, place)


def test_ways_have_names_of_their_own() -> None:
    assert len(set(map(str, WAYS))) == len(WAYS)


def test_nearest_trials_stand_for_the_known_points() -> None:
    draw = random.Random(0)
    rows = [(draw.uniform(10, 50), draw.random(), draw.random(), 10) for _ in range(6)]
    rows[2], rows[4] = (3.1, 0.45, 0.3, 15), (5.0, 0.7, 0.5, 14)
    configs = pd.DataFrame(rows, columns=["lam", "gamma", "ab_alpha", "switch_epoch"]).assign(number=range(6))
    assert nearest_trials(configs) == [4, 2]


def test_sampled_searches_of_a_neighbour_with_the_same_surface() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    draw = random.Random(1)
    settings = [
        (math.exp(draw.uniform(-0.6, 3.9)), draw.random(), draw.random(), draw.randint(8, 12)) for _ in range(24)
    ]
    configs = pd.DataFrame(settings, columns=["lam", "gamma", "ab_alpha", "switch_epoch"])
    configs = configs.assign(number=range(24), scenario="one")
    curves = tuple(curve(number, 8, 0.5 + 0.1 * own[1]) for number, own in enumerate(settings))
    surrogate = SurrogateScenario("one", {seed: PairCurves(cell_of(*curves, seed=seed)) for seed in range(4)}, configs)
    rows = pd.DataFrame(sampled_rows(("one", "one"), (surrogate, surrogate), 8, 3, with_known=True))
    assert rows.groupby("way").size().to_dict() == {str(way): 3 for way in SAMPLED_WAYS}
    assert rows.gain.between(0, 0.1).all()
    gains = rows.groupby("way").gain.mean()
    assert gains["first, best 3"] >= gains["without"]


def test_chosen_configuration_has_the_best_mean_of_those_on_most_pairs() -> None:
    gains = [[0.3, 0.0, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2], [0.1, 0.3, 0.3, 0.3], *[[0.0] * 4] * 5]
    assert chosen_under(DEFAULT_PLAN, [np.array(row) for row in gains]) == 1


def test_ways_are_compared_draw_by_draw() -> None:
    keys = {"drawn_by": "x", "num_trials": 8, "with_known": True, "source": "a", "scenario": "b"}
    rows = pd.DataFrame(
        [
            {
                **keys,
                "draw": draw,
                "way": str(way),
                "gain": gain + 0.01 * (way != WITHOUT) * (1 + draw),
                "epochs": epochs,
            }
            for draw, gain in enumerate((0.1, 0.3))
            for way, epochs in zip(WAYS, (100, *[80] * (len(WAYS) - 1)), strict=True)
        ]
    )
    compared = compared_ways(rows).set_index("way")
    assert compared.difference["first, best 3"] == pytest.approx(0.015)
    assert compared.error["first, best 3"] == pytest.approx(0.005)
    assert compared.relative_epochs["first, best 3"] == pytest.approx(0.8)
    table = list(way_table(compared.reset_index(), [("a", "b")]))
    assert table[2] == "| without | gain 20.00 | 20.00 | 1.00x |"
    assert table[5] == "| first, best 3 | +1.50 ± 0.50 (+1.2, +1.5, +1.8) | +1.50 | 0.80x |"


def test_epochs_at_equal_gain_are_interpolated() -> None:
    rows = [(8, WITHOUT, 0.1, 100.0), (16, WITHOUT, 0.2, 200.0), (8, WAYS[1], 0.15, 90.0), (16, WAYS[1], 0.3, 180.0)]
    compared = pd.DataFrame(
        [{"num_trials": size, "way": str(way), "gain": gain, "epochs": epochs} for size, way, gain, epochs in rows]
    )
    assert list(equal_gain_table(compared))[2:] == [
        "| without | 100 | 100 | 200 | 200 |",
        "| halfway, best 3 | 90 | 150 | 180 | beyond |",
    ]
