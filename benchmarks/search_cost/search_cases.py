"""The searches to run and to replay: spaces of benchmarks/spaces, cut to the first trials of one list."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.harness.locations import SPACES
from tune_runs.request.space_files import load_space, with_options
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import parameter_values_of
from tune_runs.space.space_sections import EarlyStoppingConfig

SPACE_FILES = {
    "range": "search_cost_switch_range.yaml",
    "fixed": "search_cost_switch_fixed.yaml",
    "long": "search_cost_switch_range_long.yaml",
    "fashion": "search_cost_fashion_mnist.yaml",
    "forks": "search_cost_one_epoch_forks.yaml",
}
SWITCHES = ("range", "fixed")
CASES = ("off-range", "on-range", "off-fixed", "on-fixed")
LONG_CASES = ("off-long", "on-long", "off-fashion", "on-fashion")
"""Cases that run only on request."""


@dataclasses.dataclass(frozen=True)
class SearchCase:
    """One search, run by both sides."""

    switch: str
    is_stopping: bool
    num_trials: int
    num_scenarios: int

    def __str__(self) -> str:
        scenarios = f" x {self.num_scenarios} scenarios" if self.num_scenarios > 1 else ""
        return (
            f"{self.num_trials} trials{scenarios}, switch {self.switch}, stopping {'on' if self.is_stopping else 'off'}"
        )

    @property
    def num_runs(self) -> int:
        """Number of configurations tried, over all scenarios."""
        return self.num_trials * self.num_scenarios

    def space(self) -> SearchSpace:
        """Return the space to search, its trials enqueued."""
        return search_cost_space(self.switch, self.num_trials, self.num_scenarios, self.is_stopping)


def search_cost_space(name: str, num_trials: int, num_scenarios: int = 1, is_stopping: bool = False) -> SearchSpace:
    """Return a space of SPACE_FILES whose enqueued trials are the first of one list of random configurations."""
    space = load_space(str(SPACES / SPACE_FILES[name]))
    stopping = EarlyStoppingConfig().model_dump(mode="json") if is_stopping else None
    scenarios = [scenario.model_dump(mode="json") for scenario in space.scenarios[:num_scenarios]]
    space = with_options(space, {"num_trials": num_trials, "early_stopping": stopping, "scenarios": scenarios})
    first = space.scenario_list[0]
    points = [parameter_values_of(space, first, config) for config in random_configs(space, first)]
    return with_options(space, {"enqueue": points})


def search_cases(names: Sequence[str], trials: Sequence[int], scenarios: Sequence[int]) -> list[SearchCase]:
    """Return the cases in the order in which they run.

    >>> [str(case) for case in search_cases(["on-long"], [8], [2])]
    ['8 trials x 2 scenarios, switch long, stopping on']
    """
    return [
        SearchCase(switch, stopping == "on", num_trials, num_scenarios)
        for num_scenarios in scenarios
        for num_trials in trials
        for stopping, switch in (name.split("-") for name in names)
    ]
