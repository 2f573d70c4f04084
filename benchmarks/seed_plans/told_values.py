"""What Optuna is told, where trials have values on several pairs: pair 0 alone, or a mean over pairs.

Fixed curves cannot answer, since the sampler asks for other configurations. A random forest stands for the training: it
is fitted to the gains of the 48 configurations on all seeds at once, so that a leaf has a value for each seed. It knows
no noise beyond what distinguishes the seeds in a leaf. No trial is stopped early.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from sklearn.ensemble import RandomForestRegressor

from benchmarks.complete_curves.curve_sets import CHOSEN_ON
from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN, PairCells
from tune_runs.seed_pairs.seed_halving import going_on

Told = Literal["nothing (random)", "pair 0", "mean over the pairs, for the best quarter", "mean over the pairs"]
NUM_TRIALS = 32
STARTUP_TRIALS = 8
"""Of a search with this many trials."""
Values = npt.NDArray[np.float64]


class SurrogateScenario:
    """A scenario whose gains on each seed are predicted from the four settings of attention.

    Args:
        scenario: its name.
        cells: its curves, one for each seed.
        configs: settings of the configurations that were trained.
    """

    def __init__(self, scenario: str, cells: PairCells, configs: pd.DataFrame) -> None:
        own = configs[configs.scenario == scenario].sort_values("number")
        self.switches = int(own.switch_epoch.min()), int(own.switch_epoch.max())
        settings_NP = np.stack([np.log(own.lam), own.gamma, own.ab_alpha, own.switch_epoch], axis=1)
        gains_SN = [[gain for _, gain in sorted(cells[seed].gains_at_end.items())] for seed in sorted(cells)]
        self._forest = RandomForestRegressor(100, random_state=0).fit(settings_NP, np.array(gains_SN).T)
        self.num_seeds = len(cells)

    def gains(self, trial: optuna.Trial) -> Values:
        """Draw the settings of a trial; return its gain on each seed."""
        lam = trial.suggest_float("lam", 0.5, 50, log=True)
        rest = [trial.suggest_float(name, 0.1, 1) for name in ("gamma", "ab_alpha")]
        settings = [[math.log(lam), *rest, trial.suggest_int("switch_epoch", *self.switches)]]
        return np.asarray(self._forest.predict(settings)[0], dtype=np.float64)


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
    rows: list[Values] = []
    for _ in range(NUM_TRIALS):
        trial = study.ask()
        rows.append(surrogate.gains(trial)[seeds])
        study.tell(trial, told_value(told, rows))
    chosen = _chosen(rows)
    return float(rows[chosen][DEFAULT_PLAN.pairs]), float(np.mean([row[DEFAULT_PLAN.pairs] for row in rows]))


def told_value(told: Told, rows: list[Values]) -> float:
    """Return the value of the last of some trials, whose rows hold their gains on pair 0, 1, ...

    `nothing` samples at random whatever it is told.
    """
    own = rows[-1]
    rank = sum(row[0] > own[0] for row in rows)
    is_replicated = told == "mean over the pairs" or (
        told == "mean over the pairs, for the best quarter" and rank < max(1, len(rows) / 4)
    )
    return float(own[: DEFAULT_PLAN.pairs].mean() if is_replicated else own[0])


def _chosen(rows: list[Values]) -> int:
    gains = {number: [float(row[0])] for number, row in enumerate(rows)}
    losses = dict.fromkeys(gains, 0.0)
    for pair, size in enumerate(DEFAULT_PLAN.sizes_for(len(rows)), start=1):
        live = going_on(gains, losses, size)
        if len(live) == 1:
            break
        for number in live:
            gains[number].append(float(rows[number][pair]))
    return going_on(gains, losses, 1)[0]


def _sampler(told: Told, seed: int) -> optuna.samplers.BaseSampler:
    if told == "nothing (random)":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP_TRIALS, seed=seed
        )
