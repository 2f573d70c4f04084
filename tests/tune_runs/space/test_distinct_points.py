"""Spaces with few points: each is tried once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_searches import EXP, assert_same, trials
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tests.support.spaces import make
from tune_runs.request.space_files import with_options
from tune_runs.space.distinct_points import distinct_points, most_distinct_points, num_trials_of
from tune_runs.space.model import SearchSpace

ATTENTION = {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 4}
CONSTANT = {"lam": {"choices": [5.0]}}


def space_of(search: dict[str, Any], **changes: Any) -> SearchSpace:
    """Return a space of one scenario that searches nothing else."""
    base = {**SPACE["base"], "attention": ATTENTION}
    parts = {"base": base, "search": search, "scenarios": SPACE["scenarios"][:1], "early_stopping": None}
    return make_space(**{**parts, **changes})


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
