"""The numbers of a preview, and that they are drawn."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tests.tune_runs.spaces import make
from tune_runs.preview import EpochCost, ParameterLine, draw_preview, epoch_cost, preview

TWO = {"scenarios": [{}, {"imbalance": {"type": "exp", "ratio": 0.05}}]}


@pytest.mark.parametrize(
    ("changes", "most", "least"),
    [
        ({}, 5 * 16, 2 * 16 + 3 * 13),
        (TWO, 2 * 5 * 16, 2 * (2 * 16 + 3 * 13)),
        ({"asha": None}, 5 * 16, 5 * 16),
        ({"asha": {"grace_period": 16}}, 5 * 16, 5 * 16),
        ({"num_trials": 1}, 2 * 16, 2 * 16),
    ],
)
def test_epoch_cost(changes: dict[str, Any], most: int, least: int) -> None:
    assert epoch_cost(make(changes)) == EpochCost(most=most, least=least)


def test_preview_numbers() -> None:
    numbers = preview(
        make(
            {
                **TWO,
                "search/loss.name": {"choices": ["abce"]},
                "search/optimizer.lr": {"low": 0.01, "high": 0.1, "log": True, "when": {"loss.name": "abce"}},
                "enqueue": [{"lam": 5}, {"lam": 500}],
            }
        ),
        [(2, 0)],
    )
    assert numbers.scenarios == ("digits", "digits-exp-0.05")
    assert numbers.parameters == (
        ParameterLine("lam", "0.5 to 50, log", ""),
        ParameterLine("gamma", "0.1 to 1", ""),
        ParameterLine("ab_alpha", "0.1 to 1", ""),
        ParameterLine("switch_epoch", "8 to 12, whole", ""),
        ParameterLine("loss.name", "abce", ""),
        ParameterLine("optimizer.lr", "0.01 to 0.1, log", "loss.name is abce"),
    )
    assert (numbers.rungs, numbers.runs_per_scenario, numbers.concurrent) == ((13, 15), 5, 2)
    assert numbers.points.inside == ({"lam": 5.0},)
    assert len(numbers.points.notes) == 1


def test_preview_starts_no_more_runs_than_there_are() -> None:
    assert preview(make(), [(64, 0)]).concurrent == 5
    assert preview(make({"resources": {"cpu": 3}}), [(2, 0), (2, 0)]).concurrent == 0


def drawn(changes: dict[str, Any], num_gpus: float = 0) -> str:
    console = Console(width=200, record=True, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(draw_preview(preview(make(changes), [(2, num_gpus)])))
    return captured.get()


def test_draw_preview_says_every_number() -> None:
    text = drawn({**TWO, "enqueue": [{"lam": 5}, {"lam": 500}], "time_budget": "30m"})
    for part in (
        "digits, digits-exp-0.05",
        "4 trials and 1 control, 16 epochs",
        "after 13, 15 epochs; at each about 1 trial in 3 goes on",
        "160",
        "142, one trial of each scenario past the first rung",
        "1800 s",
        "1 CPU, 0 GPU",
        "2 (2 CPUs, 0 GPUs)",
        "lam 5",
        "enqueue.1 is skipped: `lam` 500 lies outside 0.5 to 50, log",
    ):
        assert part in text


def test_draw_preview_says_what_does_not_fit() -> None:
    assert "none: only 2 CPUs, 0 GPUs here" in drawn({"resources": {"gpu": 0.5}})


def test_draw_preview_without_rungs() -> None:
    assert "none: every trial trains to the last epoch" in drawn({"asha": None})
    text = drawn({"asha": {"grace_period": 16}})
    assert "none below the last epoch (16): every trial trains to it" in text
    assert "epochs at least" not in text
