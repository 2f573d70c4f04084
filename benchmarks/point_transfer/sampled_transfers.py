"""Searches by Optuna's sampler over surrogates of two neighbours, with and without the points of the other one.

Nothing is stopped early. The known points are those of the shipped spaces, which both searches try before any others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import optuna

from benchmarks.complete_curves.surrogate_scenario import (
    GainsOnSeeds,
    SurrogateScenario,
    chosen_under,
    tpe_sampler,
)
from benchmarks.point_transfer.transfer_ways import KNOWN, PLAN, WITHOUT, TransferWay
from tune_runs.driver.study_draws import STARTUP_TRIALS

SAMPLED_WAYS = (
    WITHOUT,
    TransferWay("halfway", 3),
    TransferWay("first", 1),
    TransferWay("first", 3),
    TransferWay("first", 3, "misleading"),
)
SampledPoint = Mapping[str, float]


class SampledSearch(NamedTuple):
    """Trials of one search in their order."""

    points: list[SampledPoint]
    gains: list[GainsOnSeeds]
    """On pair 0, 1, ... of the search."""


def sampled_rows(
    names: tuple[str, str],
    surrogates: tuple[SurrogateScenario, SurrogateScenario],
    num_trials: int,
    searches: int,
    with_known: bool,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each way and search: the gain held out.

    Args:
        names: of the neighbour and of the scenario that is searched.
        surrogates: of both.
        num_trials: of both searches.
        searches: number of searches, each with another order of seeds.
        with_known: whether both first try the known points.
    """
    source, target = surrogates
    known = [{**point, "switch_epoch": target.switches[1]} for point in KNOWN] if with_known else []
    for number in range(searches):
        seeds = np.random.default_rng(number).permutation(target.num_seeds)
        theirs = sampled_search(source, seeds, 2 * number, num_trials, known)
        for way in SAMPLED_WAYS:
            place = max(way.place(num_trials), len(known))
            found = sampled_search(target, seeds, 2 * number + 1, num_trials, known, place, _taken(theirs, way))
            yield {
                "drawn_by": "Optuna's sampler",
                "source": names[0],
                "scenario": names[1],
                "num_trials": num_trials,
                "with_known": with_known,
                "draw": number,
                "way": str(way),
                "gain": float(found.gains[chosen_under(PLAN, found.gains)][PLAN.pairs]),
                "epochs": math.nan,
            }


def sampled_search(
    surrogate: SurrogateScenario,
    seeds: npt.NDArray[np.int64],
    number: int,
    num_trials: int,
    known: Sequence[SampledPoint],
    place: int = 0,
    taken: Sequence[SampledPoint] = (),
) -> SampledSearch:
    """Search a surrogate.

    Args:
        surrogate: to search.
        seeds: order of its seeds; the first one is pair 0, which Optuna is told.
        number: seed of the sampler.
        num_trials: trials.
        known: points to try before all others.
        place: trials before `taken` is tried.
        taken: points of another search.
    """
    sampler = tpe_sampler(min(STARTUP_TRIALS, max(4, num_trials // 4)), number)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    found = SampledSearch([], [])
    for point in known:
        study.enqueue_trial(dict(point))
    for done in range(num_trials):
        if done == place:
            for point in taken:
                study.enqueue_trial(dict(point), skip_if_exists=True)
        trial = study.ask()
        found.gains.append(surrogate.gains(trial)[seeds])
        found.points.append(trial.params)
        study.tell(trial, float(found.gains[-1][0]))
    return found


def _taken(theirs: SampledSearch, way: TransferWay) -> list[SampledPoint]:
    sign = 1 if way.source == "misleading" else -1
    in_order = sorted(range(way.num_done(len(theirs.points))), key=lambda one: sign * theirs.gains[one][0])
    return [theirs.points[one] for one in in_order[: way.num_points]]
