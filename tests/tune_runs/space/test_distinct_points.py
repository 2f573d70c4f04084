"""Spaces with few points: each is tried once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from absgd.records import STUDY_FILE
from tests.support.fake_searches import EXP, assert_same, study_trials, trials
from tests.support.fake_tuner import SPACE, FakeTuner, rising
from tests.support.few_points import (
    SEVENTHS,
    assert_known_value_is_the_same_point,
    assert_rounded_steps_are_inside_and_tried_once,
    space_of,
    tried_gammas,
)
from tests.support.spaces import make
from tune_runs.driver.study import POINTS
from tune_runs.driver.study_journal import open_study
from tune_runs.request.space_files import with_options
from tune_runs.space.distinct_points import distinct_points, most_distinct_points, num_trials_of, num_values, value_at
from tune_runs.space.model import SearchSpace
from tune_runs.space.parameters import Parameter

CONSTANT = {"lam": {"choices": [5.0]}}


@pytest.mark.parametrize(
    ("search", "points"),
    [
        ({"lam": {"choices": [5.0]}}, [{"lam": 5.0}]),
        ({"switch_epoch": {"low": 3, "high": 5}}, [{"switch_epoch": 3}, {"switch_epoch": 4}, {"switch_epoch": 5}]),
        (
            {
                "loss.name": {"choices": ["ce", "abce"]},
                "switch_epoch": {"choices": [2, 3], "when": {"loss.name": "abce"}},
            },
            [{"loss.name": "ce"}, *({"loss.name": "abce", "switch_epoch": switch} for switch in (2, 3))],
        ),
        ({"gamma": {"low": 0.1, "high": 1.0}}, None),
        ({"switch_epoch": {"low": 0, "high": 8}}, None),
    ],
    ids=["constant", "whole numbers", "conditional", "range", "more than trials"],
)
def test_points(search: dict[str, Any], points: list[dict[str, Any]] | None) -> None:
    space = space_of(search, num_trials=3 if points is None else len(points))
    found = distinct_points(space, space.scenario_list[0])
    assert (None if found is None else list(found)) == points


def test_number_of_trials_becomes_that_of_the_points_and_is_said() -> None:
    with pytest.warns(UserWarning, match=r"1 different point, each tried once: `num_trials` 8 becomes 1 \(space: num"):
        space = space_of(CONSTANT, num_trials=8)
    assert space.num_trials == 1
    with pytest.warns(UserWarning, match="`num_trials` 6 becomes 1"):
        assert with_options(space, {"num_trials": 6}).num_trials == 1
    assert most_distinct_points(make()) is None


def test_every_point_is_trained_once_the_known_ones_first(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="4 different points"):
        space = space_of(
            {"lam": {"choices": [1.0, 5.0]}, "switch_epoch": {"choices": [3, 4]}}, num_trials=9, enqueue=[{"lam": 5.0}]
        )
    FakeTuner(space, tmp_path / "fake", rising).run()
    rows = trials(tmp_path / "fake").query("phase == 'search'")
    tried = list(zip(rows.lam, rows.switch_epoch, strict=True))
    assert sorted(tried) == [(1.0, 3), (1.0, 4), (5.0, 3), (5.0, 4)]
    assert {lam for lam, _ in tried[:2]} == {5.0}


def test_constant_space_trains_one_trial_and_ends_also_after_a_resume(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 different point"):
        space = space_of(CONSTANT)
    for _ in range(2):
        tuner = FakeTuner(space, tmp_path / "fake", rising)
        tuner.run()
        assert tuner.searcher.is_done
    assert tuner.recorder.finished(EXP) == 1


def test_scenarios_with_fewer_points_than_others_try_each_of_theirs_once() -> None:
    """A condition on the data of a scenario."""
    search = {
        "switch_epoch": {"choices": [2, 3, 4]},
        "gamma": {"choices": [0.5, 0.9], "when": {"imbalance.type": "exp"}},
    }
    space = space_of(search, scenarios=SPACE["scenarios"], num_trials=6)
    assert [num_trials_of(space, one) for one in space.scenario_list] == [6, 3]


def repeating_space(**changes: Any) -> SearchSpace:
    """Return a space of six points and five trials, in which a sampler that learns soon repeats itself."""
    search = {"lam": {"choices": [1.0, 5.0, 9.0]}, "switch_epoch": {"choices": [3, 4]}}
    return space_of(search, num_trials=5, **changes)


def test_no_point_is_tried_twice_where_there_are_hardly_more_than_trials(tmp_path: Path) -> None:
    for seed in range(4):
        folder = tmp_path / f"fake{seed}"
        FakeTuner(repeating_space(seed=seed), folder, rising).run()
        rows = trials(folder).query("phase == 'search'")
        assert len(set(zip(rows.lam, rows.switch_epoch, strict=True))) == 5


def test_search_of_few_points_that_is_resumed_tries_what_it_would_have_tried(tmp_path: Path) -> None:
    FakeTuner(repeating_space(), tmp_path / "whole", rising, concurrent=1).run()
    for moment in (12, 18, 24, 30):
        folder = tmp_path / f"cut{moment}"
        FakeTuner(repeating_space(), folder, rising, concurrent=1).run(stop_after_results=moment)
        FakeTuner(repeating_space(), folder, rising, concurrent=1).run()
        assert_same(folder, tmp_path / "whole")


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0.1, 0.7, 0.1), (0.05, 0.95, 0.15), (0, 1, 1 / 3), (0, 1, 0.3333333333334), (1, 9, 2)]
)
def test_listed_values_are_those_that_optuna_draws(low: float, high: float, step: float) -> None:
    parameter = Parameter(low=low, high=high, step=step)
    listed = [value_at(parameter, index) for index in range(num_values(parameter) or 0)]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna says where it lowers `high` to a multiple of `step`
        drawn = {parameter.suggest("x", study.ask()) for _ in range(200)}
        distribution = FloatDistribution(low, high, step=step)
    assert set(listed) == drawn
    assert max(drawn) == distribution.high


@pytest.mark.parametrize("num_trials", [6, 7])
def test_points_of_a_range_with_rounded_steps_are_inside_and_tried_once(tmp_path: Path, num_trials: int) -> None:
    """tests/system has more seeds."""
    assert_rounded_steps_are_inside_and_tried_once(tmp_path, num_trials, range(3))


@pytest.mark.parametrize("num_trials", [4, 7])
def test_known_value_that_rounds_otherwise_than_the_step_is_the_same_point(tmp_path: Path, num_trials: int) -> None:
    """tests/system has more seeds."""
    assert_known_value_is_the_same_point(tmp_path, num_trials, range(2))


def test_study_that_holds_a_value_outside_its_range_continues(tmp_path: Path) -> None:
    """An earlier version queued 0.1 + 6 * 0.1, for which Optuna takes the value as it is."""
    folder = tmp_path / "fake"
    (folder / "scenarios" / EXP).mkdir(parents=True)
    study, _ = open_study(folder / "scenarios" / EXP / STUDY_FILE, EXP, "max")
    study.set_user_attr(POINTS, [{"gamma": 0.1 + 6 * 0.1}])
    with pytest.warns(UserWarning, match="out of range"):
        FakeTuner(space_of(SEVENTHS, num_trials=6), folder, rising).run()
    assert len({round(gamma * 10) for gamma in tried_gammas(folder)}) == 6


def test_search_that_is_extended_to_all_points_tries_each_once(tmp_path: Path) -> None:
    search = {"lam": {"choices": [1.0, 5.0, 9.0, 12.0]}, "switch_epoch": {"choices": [3, 4]}}
    for seed in range(4):
        folder = tmp_path / f"fake{seed}"
        for num_trials in (6, 8):
            FakeTuner(space_of(search, num_trials=num_trials, seed=seed), folder, rising).run()
        tried = [tuple(trial.params.items()) for trial in study_trials(folder, EXP)]
        assert len(set(tried)) == len(tried) == 8
