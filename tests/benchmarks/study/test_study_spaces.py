"""The spaces of the study: they load, plan within their budget, and cover the scenarios that were asked for."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.study.study_results import study_parts
from benchmarks.study.study_spaces import SEARCHES, STUDY_SPACES, space_file, study_space
from tests.support.spaces import preview_of

SCENARIOS = {
    "exp 0.1",
    "exp 0.01",
    "step 0.1",
    "step 0.01",
    "symmetric noise 0.2",
    "symmetric noise 0.4",
    "pair noise 0.4",
    "exp 0.02 with symmetric noise 0.2",
}


def test_searches_equal_the_folder() -> None:
    assert sorted(SEARCHES) == sorted(path.stem for path in STUDY_SPACES.glob("*.yaml"))


@pytest.mark.parametrize("name", SEARCHES)
def test_space_loads_and_previews(name: str) -> None:
    space = study_space(name)
    numbers = preview_of(space, [(2, 0)])
    assert space.name == name
    assert len(numbers.points.inside) == len(space.enqueue), "the authors' settings are inside"
    assert space.seeds.pairs > 1
    assert space.confirm is not None
    assert space.confirm.epoch_budget is not None, "it ends"


@pytest.mark.parametrize("name", SEARCHES)
def test_space_points_an_editor_at_the_schema(name: str) -> None:
    lines = space_file(name).read_text().splitlines()
    schema = lines[0].removeprefix("# yaml-language-server: $schema=")
    assert (STUDY_SPACES / schema).resolve().is_file()
    assert lines[2].startswith("# "), "it says what it is for"


def test_both_data_sets_have_every_scenario() -> None:
    titles = Counter((part.dataset, part.title) for part in study_parts(STUDY_SPACES))
    for dataset in ("digits", "fashion_mnist"):
        assert {title for data, title in titles if data == dataset} == SCENARIOS
