"""Values that Optuna is told where trials have several pairs: that on pair 0, or a mean over pairs.

The sampler asks for configurations that nobody trained: `complete_curves.surrogate_scenario` predicts their gains.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import optuna
import pandas as pd

from benchmarks.complete_curves.curve_sets import CHOSEN_ON
from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN, PairCells
from benchmarks.complete_curves.surrogate_scenario import (
    GainsOnSeeds,
    SurrogateScenario,
    chosen_under,
    tpe_sampler,
)

Told = Literal["nothing (random)", "pair 0", "mean over the pairs, for the best quarter", "mean over the pairs"]
NUM_TRIALS = 32
STARTUP_TRIALS = 8
"""Of a search with this many trials."""


def told_value_rows(scenario: str, cells: PairCells, searches: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of told value: mean held-out gain of the chosen configuration, and of all trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    surrogate = SurrogateScenario(scenario, cells, pd.read_parquet(CHOSEN_ON.folder / "configs.parquet"))
    for told in get_args(Told):
        found = [_search(surrogate, told, number) for number in range(searches)]
        chosen = [one for one, _ in found]
        yield {
            "scenario": scenario,
            "told": told,
            "gain": statistics.fmean(chosen),
            "gain_error": statistics.stdev(chosen) / math.sqrt(len(chosen)),
            "all_trials": statistics.fmean(every for _, every in found),
        }


def _search(surrogate: SurrogateScenario, told: Told, number: int) -> tuple[float, float]:
    """Return the gains, on a seed held out, of the configuration chosen by the default plan and of all trials."""
    seeds = np.random.default_rng(number).permutation(surrogate.num_seeds)
    study = optuna.create_study(direction="maximize", sampler=_sampler(told, number))
    rows: list[GainsOnSeeds] = []
    for _ in range(NUM_TRIALS):
        trial = study.ask()
        rows.append(surrogate.gains(trial)[seeds])
        study.tell(trial, told_value(told, rows))
    chosen = chosen_under(DEFAULT_PLAN, rows)
    return float(rows[chosen][DEFAULT_PLAN.pairs]), float(np.mean([row[DEFAULT_PLAN.pairs] for row in rows]))


def told_value(told: Told, rows: list[GainsOnSeeds]) -> float:
    """Return the value of the last of some trials, whose rows hold their gains on pair 0, 1, ...

    `nothing` samples at random whatever it is told.
    """
    own = rows[-1]
    rank = sum(row[0] > own[0] for row in rows)
    is_replicated = told == "mean over the pairs" or (
        told == "mean over the pairs, for the best quarter" and rank < max(1, len(rows) / 4)
    )
    return float(own[: DEFAULT_PLAN.pairs].mean() if is_replicated else own[0])


def _sampler(told: Told, seed: int) -> optuna.samplers.BaseSampler:
    if told == "nothing (random)":
        return optuna.samplers.RandomSampler(seed=seed)
    return tpe_sampler(STARTUP_TRIALS, seed)
