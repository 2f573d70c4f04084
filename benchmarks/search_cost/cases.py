"""The searches that are run and counted: a space of benchmarks/spaces, cut to so many trials of one list."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from benchmarks.curves import SPACES
from benchmarks.train_curves import random_configs
from tune_runs.request.space_files import load_space, with_options
from tune_runs.space.model import EarlyStoppingConfig, SearchSpace
from tune_runs.space.run_configs import parameter_values_of

SPACE_FILES = {
    "range": "search_cost_switch_range.yaml",
    "fixed": "search_cost_switch_fixed.yaml",
    "long": "search_cost_switch_range_long.yaml",
    "forks": "search_cost_one_epoch_forks.yaml",
}
SWITCHES = ("range", "fixed")
CASES = ("off-range", "on-range", "off-fixed", "on-fixed")
LONG_CASES = ("off-long", "on-long")
"""Run only when asked for."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One search, done both ways."""

    switch: str
    is_stopping: bool
    num_trials: int
    num_scenarios: int

    def __str__(self) -> str:
        many = f" x {self.num_scenarios} scenarios" if self.num_scenarios > 1 else ""
        return f"{self.num_trials} trials{many}, switch {self.switch}, stopping {'on' if self.is_stopping else 'off'}"

    @property
    def num_runs(self) -> int:
        """Configurations tried, over all scenarios."""
        return self.num_trials * self.num_scenarios

    def space(self) -> SearchSpace:
        """What is searched, its trials enqueued."""
        return space_of(self.switch, self.num_trials, self.num_scenarios, self.is_stopping)


def space_of(name: str, num_trials: int, num_scenarios: int = 1, is_stopping: bool = False) -> SearchSpace:
    """A space of SPACE_FILES whose trials are the first of one list of random configurations, enqueued."""
    space = load_space(str(SPACES / SPACE_FILES[name]))
    stopping = EarlyStoppingConfig().model_dump(mode="json") if is_stopping else None
    scenarios = [scenario.model_dump(mode="json") for scenario in space.scenarios[:num_scenarios]]
    space = with_options(space, {"num_trials": num_trials, "early_stopping": stopping, "scenarios": scenarios})
    first = space.scenario_list[0]
    points = [parameter_values_of(space, first, config) for config in random_configs(space, first)]
    return with_options(space, {"enqueue": points})


def cases(names: Sequence[str], trials: Sequence[int], scenarios: Sequence[int]) -> list[Case]:
    """In the order in which they run.

    >>> [str(case) for case in cases(["on-long"], [8], [2])]
    ['8 trials x 2 scenarios, switch long, stopping on']
    """
    return [
        Case(switch, stopping == "on", num_trials, num_scenarios)
        for num_scenarios in scenarios
        for num_trials in trials
        for stopping, switch in (name.split("-") for name in names)
    ]
