"""The points that a study draws: by a sampler that each trial seeds anew, and none twice where points are countable."""

from __future__ import annotations

import random
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from absgd.randomness import derived_seed
from tune_runs.space.distinct_points import all_points
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Scalar
from tune_runs.space.run_configs import optuna_params, point_identity, suggested_config, suggested_point

STARTUP_TRIALS = 10
"""Random trials before TPE's model is used; fewer in a small search."""
FIXED_PARAMS = "fixed_params"
"""System attribute in which Optuna holds the parameters of a queued trial; a contract test pins it."""


class StudyDraws:
    """The draws of a scenario's study, which follow from the number of a trial and the trials before it.

    Args:
        study: the study; only read here.
        space: the search space.
        scenario: the scenario that is searched.
        queued: Optuna parameters of the points that were queued when the study began.
    """

    def __init__(
        self, study: optuna.Study, space: SearchSpace, scenario: Scenario, queued: Sequence[Mapping[str, Scalar]]
    ) -> None:
        self._study, self._space, self._scenario = study, space, scenario
        every = all_points(space, scenario) or ()
        known = {frozenset(params.items()) for params in queued}
        has_all = known.issuperset(frozenset(optuna_params(space, point).items()) for point in every)
        self._points = () if has_all else every
        """All points, where they are countable and not all queued: none is tried twice."""

    def sampler_of(self, number: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of a trial."""
        seed = derived_seed(self._space.seed, f"search/{self._scenario.name}", number) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=min(STARTUP_TRIALS, max(4, self._space.num_trials // 4)),
                seed=seed,
            )

    def params_of(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
        """Return the parameters that the sampler draws for a trial, in a study in memory that holds those before it.

        Args:
            trial: the trial, whose queued parameters stay as they are.
            trials: all trials of the study.
        """
        storage = optuna.storages.InMemoryStorage()
        sampler = self.sampler_of(trial.number)
        mirror = optuna.create_study(storage=storage, directions=self._study.directions, sampler=sampler)
        for one in trials:
            if one.number != trial.number and one.state != TrialState.WAITING:
                storage.create_new_trial(mirror._study_id, one)  # as it is: `add_trials` refuses values out of range
        if fixed := trial.system_attrs.get(FIXED_PARAMS):
            mirror.enqueue_trial(fixed)
        drawn = mirror.ask()
        suggested_config(self._space, self._scenario, drawn)
        return drawn.params

    def in_place_of_a_repetition(self, number: int) -> dict[str, Scalar] | None:
        """Return the parameters of a point not tried before, if a trial repeats one; the same ones at each call."""
        if not self._points:
            return None
        trials = self._study.get_trials(deepcopy=False)
        tried = [self._drawn_point(_params_of(one)) for one in trials if one.number < number]
        if self._drawn_point(self.params_of(trials[number], trials)) not in tried:
            return None
        left = [point for point in self._points if point_identity(self._space, point) not in tried]
        seed = derived_seed(self._space.seed, f"repetition/{self._scenario.name}", number)
        return optuna_params(self._space, random.Random(seed).choice(left)) if left else None

    def _drawn_point(self, params: dict[str, Any]) -> dict[str, Hashable]:
        """Return what tells the point of Optuna parameters from others."""
        return suggested_point(self._space, self._scenario, optuna.trial.FixedTrial(params))


def _params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters of a trial, drawn or queued."""
    return {**trial.system_attrs.get(FIXED_PARAMS, {}), **trial.params}
