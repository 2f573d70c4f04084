"""Spaces with few points under further seeds: each is tried once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.few_points import (
    assert_known_value_is_the_same_point,
    assert_rounded_steps_are_inside_and_tried_once,
)


@pytest.mark.parametrize("num_trials", [6, 7])
def test_points_of_a_range_with_rounded_steps_are_inside_under_further_seeds(tmp_path: Path, num_trials: int) -> None:
    assert_rounded_steps_are_inside_and_tried_once(tmp_path, num_trials, range(3, 12))


@pytest.mark.parametrize("num_trials", [4, 7])
def test_known_value_is_the_same_point_under_further_seeds(tmp_path: Path, num_trials: int) -> None:
    assert_known_value_is_the_same_point(tmp_path, num_trials, range(2, 6))
