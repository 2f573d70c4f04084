"""Scenarios in which any configuration has gains: predictions of a random forest in place of training.

Complete curves cannot answer a sampler, which asks for other configurations. A random forest stands for the training:
it is fitted to the gains of the trained configurations on all seeds at once, so that a leaf has a value for each seed.
It knows no noise beyond what distinguishes the seeds in a leaf, and stops no trial early.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from sklearn.ensemble import RandomForestRegressor

from benchmarks.complete_curves.pair_replays import PairCells, SeedPlan
from tune_runs.seed_pairs.seed_halving import going_on

GainsOnSeeds = npt.NDArray[np.float64]
"""Gain of one configuration on each seed."""


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

    def gains(self, trial: optuna.trial.BaseTrial) -> GainsOnSeeds:
        """Draw the settings of a trial; return its gain on each seed."""
        lam = trial.suggest_float("lam", 0.5, 50, log=True)
        rest = [trial.suggest_float(name, 0.1, 1) for name in ("gamma", "ab_alpha")]
        settings = [[math.log(lam), *rest, trial.suggest_int("switch_epoch", *self.switches)]]
        return np.asarray(self._forest.predict(settings)[0], dtype=np.float64)


def tpe_sampler(num_startup: int, seed: int) -> optuna.samplers.TPESampler:
    """Return the sampler of a search with so many random trials before its model is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=num_startup, seed=seed
        )


def chosen_under(plan: SeedPlan, rows: list[GainsOnSeeds]) -> int:
    """Return the number of the configuration that a plan chooses.

    Args:
        plan: how the search uses its pairs.
        rows: gains of each configuration on pair 0, 1, ...
    """
    gains = {number: [float(row[0])] for number, row in enumerate(rows)}
    losses = dict.fromkeys(gains, 0.0)
    for pair, size in enumerate(plan.sizes_for(len(rows)), start=1):
        live = going_on(gains, losses, size)
        if len(live) == 1:
            break
        for number in live:
            gains[number].append(float(rows[number][pair]))
    return going_on(gains, losses, 1)[0]
