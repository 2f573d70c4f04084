"""Spaces with few points, searched on curves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.fake_searches import trials
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tune_runs.request.warm_start import warm_start_of
from tune_runs.space.model import SearchSpace

ATTENTION = {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 4}


def space_of(search: dict[str, Any], **changes: Any) -> SearchSpace:
    """Return a space of one scenario that searches nothing else."""
    base = {**SPACE["base"], "attention": ATTENTION}
    parts = {"base": base, "search": search, "scenarios": SPACE["scenarios"][:1], "early_stopping": None}
    return make_space(**{**parts, **changes})


SEVENTHS = {"gamma": {"low": 0.1, "high": 0.7, "step": 0.1}}
"""Seven values, whose multiples of 0.1 are rounded: 0.1 + 6 * 0.1 is more than 0.7."""


def tried_gammas(folder: Path) -> list[float]:
    return list(trials(folder).query("phase == 'search'").gamma)


def assert_rounded_steps_are_inside_and_tried_once(place: Path, num_trials: int, seeds: Iterable[int]) -> None:
    for seed in seeds:
        space = space_of(SEVENTHS, num_trials=num_trials, seed=seed)
        FakeTuner(space, place / f"fake{seed}", rising).run()
        tried = tried_gammas(place / f"fake{seed}")
        assert len({round(gamma * 10) for gamma in tried}) == len(tried) == num_trials
        assert 0.1 <= min(tried) < max(tried) <= 0.7


def assert_known_value_is_the_same_point(place: Path, num_trials: int, seeds: Iterable[int]) -> None:
    """0.3 is not 0.1 + 2 * 0.1."""
    FakeTuner(space_of(SEVENTHS, num_trials=7), place / "earlier", rising).run()
    space = space_of(SEVENTHS, num_trials=num_trials, enqueue=[{"gamma": 0.3}, {"gamma": 0.1 + 2 * 0.1}])
    (points,) = warm_start_of(space, place / "earlier").points.values()
    for seed in seeds:
        folder = place / f"fake{seed}"
        FakeTuner(space.model_copy(update={"seed": seed}), folder, rising, warm_start=points).run()
        tried = [round(gamma * 10) for gamma in tried_gammas(folder)]
        assert len(set(tried)) == num_trials
        assert tried[0] in {3, 7, 6, 5, 4}
        assert 3 in tried
