"""Epochs and wall time of a search, from its space alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.spaces import first_plan, make
from tune_runs.preview.scenario_cost import EpochTime, ScenarioCost, scenario_cost, wall_time_s
from tune_runs.stopping.rungs import early_stopping

NO_STOPPING: dict[str, Any] = {"early_stopping": None}
LR_RANGE = {"search/optimizer.lr": {"low": 0.01, "high": 0.1, "log": True}}
EVEN = EpochTime(1.0, 1.0, 1000)


def cost(changes: dict[str, Any], time: EpochTime | None = None) -> ScenarioCost:
    """Return a space of 4 trials of 16 epochs that switch in 8..12, with changes."""
    space = make(changes)
    return scenario_cost(space, first_plan(space), early_stopping(space), time)


def test_cost_of_one_trunk_is_the_control_and_each_stage_two() -> None:
    found = cost(NO_STOPPING)
    assert (found.from_scratch, found.shared, found.expected) == (5 * 16, 16 + 4 * 6, 16 + 4 * 6)
    assert (found.stage_one, found.num_snapshots) == (16, 5 + 1)


def test_cost_from_scratch_where_sharing_is_impossible() -> None:
    found = cost({**NO_STOPPING, **LR_RANGE})
    assert (found.from_scratch, found.shared, found.expected, found.num_snapshots) == (80, None, 80, 0)
    assert found.stage_one == 16 + 4 * 10


def test_cost_of_several_trunks() -> None:
    found = cost({**NO_STOPPING, "search/optimizer.lr": {"choices": [0.01, 0.1]}, "num_trials": 40})
    assert found.shared == found.expected == 2 * 16 + 40 * 6
    assert found.num_snapshots == 2 * 6


def test_cost_with_stopping_is_between_trunk_and_no_stopping() -> None:
    stopped = {"early_stopping": {"rule": "age", "grace_period": 1, "reduction_factor": 2}, "num_trials": 32}
    found = cost(stopped)
    assert 16 + 32 < found.expected < 16 + 32 * 6
    apart = cost({**stopped, **LR_RANGE})
    assert apart.expected == pytest.approx(found.expected + 32 * 10, abs=1)


def test_cost_of_the_median_rule_is_that_without_stopping() -> None:
    """The trials that it stops are not modelled."""
    found = cost({"early_stopping": {"rule": "median", "grace_period": 1}, "num_trials": 32})
    assert found.expected == found.shared == 16 + 32 * 6


def test_cost_of_trials_without_stage_two_is_their_last_epoch() -> None:
    attention = {
        name: {**parameter.model_dump(exclude_none=True), "when": {"loss.name": "abce"}}
        for name, parameter in make().search.items()
    }
    changes: dict[str, Any] = {"search": {"loss.name": {"choices": ["ce", "abce"]}, **attention}}
    assert cost({**NO_STOPPING, **changes}).expected == 16 + 2 * 1 + 2 * 6


def test_wall_time_is_unknown_until_all_scenarios_are_measured() -> None:
    assert wall_time_s(16, [cost(NO_STOPPING, EVEN), cost(NO_STOPPING)], 2) is None


@pytest.mark.parametrize(
    ("concurrent", "seconds"),
    [
        (1, 40),
        (2, 8 + 32 / 2),  # one core of two is idle until the first fork
        (4, 8 + 32 / 4),
        (64, 16),  # the control from its first epoch to its last
    ],
)
def test_wall_time_of_one_trunk(concurrent: int, seconds: float) -> None:
    assert wall_time_s(16, [cost(NO_STOPPING, EVEN)], concurrent) == seconds


def test_wall_time_of_two_scenarios_trains_their_trunks_at_once() -> None:
    assert wall_time_s(16, [cost(NO_STOPPING, EVEN)] * 2, 2) == 80 / 2


def test_wall_time_from_scratch_keeps_all_runs_busy() -> None:
    assert wall_time_s(16, [cost({**NO_STOPPING, **LR_RANGE}, EVEN)], 2) == 80 / 2


def test_wall_time_is_at_least_the_longest_chain() -> None:
    slow = EpochTime(1.0, 10.0, 1000)
    assert wall_time_s(16, [cost(NO_STOPPING, slow)], 64) == 12 * 1 + 4 * 10
