"""The cost of tuned controls in a preview, against the epochs that searches on curves train."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.fake_searches import EXP, trials
from tests.support.tuned_searches import run, space_of
from tune_runs.preview.preview_drawing import draw_preview
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.preview.search_preview import preview_search
from tune_runs.preview.tuning_cost import tuning_cost, tuning_wall_s
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import plan_scenarios

METHODS = [["focal"], ["cb-ce-drw", "ce-posthoc"], ["ce-posthoc", "focal", "ce"]]


@pytest.mark.parametrize("methods", METHODS)
def test_most_epochs_are_those_of_a_search_without_early_stopping(methods: list[str], tmp_path: Path) -> None:
    changes = {"controls": {"tuned": True, "methods": methods}, "early_stopping": None, "confirm": None}
    space = space_of(**changes)
    run(tmp_path / "run", **changes)
    rows = trials(tmp_path / "run").query("phase == 'tuning'")
    cost = tuning_cost(space, plan_scenarios(space)[EXP])
    assert cost.epochs == cost.expected == rows.epochs_trained.sum()
    own = {name: number for name, number in cost.num_runs if name != "ce"}
    assert own == {name.removesuffix("-tuned"): int(n) for name, n in rows.groupby("candidate").size().items()}


def test_expected_epochs_allow_for_early_stopping() -> None:
    space = space_of(controls={"tuned": True, "methods": ["focal"]})
    cost = tuning_cost(space, plan_scenarios(space)[EXP])
    assert 0 < cost.expected < cost.epochs == 10 * dict(cost.num_runs)["focal"]


def test_plain_runs_count_where_trials_train_fewer_stage_ones() -> None:
    """Here one trial has one of two stage ones, so a control is added for the other."""
    space = space_of(num_trials=1, controls={"tuned": True, "methods": ["ce"]})
    plan = plan_scenarios(space)[EXP]
    assert plan.sharing.expected_trunks < 2
    assert tuning_cost(space, plan).epochs in (0, 10)


def test_wall_time_is_that_of_the_epochs_spread_over_the_runs() -> None:
    space = space_of(controls={"tuned": True, "methods": ["focal"]})
    cost = tuning_cost(space, plan_scenarios(space)[EXP])
    time = EpochTime(2.0, 3.0, 0)
    assert tuning_wall_s(10, [cost], [time], concurrent=1) == 2.0 * cost.expected
    assert tuning_wall_s(10, [cost], [time], concurrent=1000) == 2.0 * 10
    assert tuning_wall_s(10, [cost], [None], concurrent=1) is None


def text_of(space: SearchSpace) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(draw_preview(preview_search(space, plan_scenarios(space), [(4.0, 0.0)])))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_preview_says_what_each_control_tries() -> None:
    space = space_of()
    text = text_of(space)
    assert "tuned controls  configurations tried: ce 2, cb-ce-drw" in text
    assert "focal-tuned" in text, "the confirmation has it"
    assert "tuned" not in text_of(space_of(controls={}))
