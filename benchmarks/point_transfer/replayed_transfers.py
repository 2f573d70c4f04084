"""Searches over complete curves, whose trials are drawn at random, with and without the points of a neighbour.

Trials are stopped early and chosen over pairs of seeds by the code of a real search.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.complete_curves.pair_replays import PairCells, first_pair, replay_plan
from benchmarks.point_transfer.transfer_ways import KNOWN, PLAN, WAYS, TransferWay, with_points_at


def replayed_rows(
    source: PairCells, target: PairCells, numbers: Sequence[int], known: Sequence[int], num_trials: int, draws: int
) -> Iterator[dict[str, Any]]:
    """Yield a row for each way and draw: the gain held out, on the seed that the search does not use, and the epochs.

    Args:
        source: curves of the neighbour, on the seeds and configurations of `target`.
        target: curves of the scenario that is searched.
        numbers: of the trained configurations from which trials are drawn.
        known: numbers of those that both searches try before any others.
        num_trials: of both searches.
        draws: random choices of configurations and orders of seeds, the same for every way.
    """
    names = [next(iter(cells.values())).cell.scenario for cells in (source, target)]
    num_trained = len(next(iter(target.values())).by_number)
    draw = random.Random(f"{names} {num_trials}")
    for number in range(draws):
        seeds = draw.sample(sorted(target), len(target))
        theirs, own = (with_points_at(draw.sample(numbers, num_trials), 0, known, num_trials) for _ in range(2))
        mixed = draw.sample(theirs, num_trials)
        for way in WAYS:
            taken = _taken(source, theirs, mixed, seeds[0], way)
            order = with_points_at(own, max(way.place(num_trials), len(known)), taken, num_trials)
            choice = replay_plan(target, order, seeds[: PLAN.pairs], PLAN)
            yield {
                "drawn_by": "random draws" if len(numbers) == num_trained else "random draws in narrow ranges",
                "source": names[0],
                "scenario": names[1],
                "num_trials": num_trials,
                "with_known": bool(known),
                "draw": number,
                "way": str(way),
                "gain": target[seeds[PLAN.pairs]].gains_at_end[choice.chosen],
                "epochs": choice.epochs,
            }


def nearest_trials(configs: pd.DataFrame) -> list[int]:
    """Return the numbers of the trained configurations that are nearest to the known points, at a late switch.

    Args:
        configs: settings of the configurations of one scenario.
    """
    settings = {
        "lam": (np.log(configs.lam), np.log(100)),
        "gamma": (configs.gamma, 0.9),
        "ab_alpha": (configs.ab_alpha, 0.9),
        "switch_epoch": (configs.switch_epoch, np.ptp(configs.switch_epoch)),
    }
    latest = float(configs.switch_epoch.max())
    found: list[int] = []
    for point in KNOWN:
        wanted = {**point, "lam": math.log(point["lam"]), "switch_epoch": latest}
        far = sum(((values - wanted[name]) / width) ** 2 for name, (values, width) in settings.items())
        in_order = configs.number.to_numpy()[np.argsort(np.asarray(far))]
        found.append(next(int(number) for number in in_order if number not in found))
    return found


def _taken(
    source: PairCells, theirs: Sequence[int], mixed: Sequence[int], seed: int, way: TransferWay
) -> Sequence[int]:
    """Return the points that a way takes of the neighbour, which has compared its trials on their first pair so far."""
    if way.moment == "never":
        return ()
    if way.source == "unrelated":
        return mixed[: way.num_points]
    gains = source[seed].gains_at_end
    if way.source == "misleading":
        return sorted(theirs, key=gains.__getitem__)[: way.num_points]
    search = first_pair(source, theirs[: way.num_done(len(theirs))], seed, PLAN)
    completed = [curve.number for curve in search.completed]
    return sorted(completed, key=lambda number: -gains[number])[: way.num_points]
