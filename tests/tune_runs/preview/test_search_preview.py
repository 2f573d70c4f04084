"""The numbers of a preview, and their drawing."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tests.support.spaces import make, preview_of
from tune_runs.preview.preview_drawing import draw_preview, duration_words
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.preview.search_preview import ParameterRange

TWO = {"scenarios": [{}, {"imbalance": {"type": "exp", "ratio": 0.05}}]}
EPOCH_RULE = {"early_stopping": {"rule": "asha", "reduction_factor": 3}}
LR_RANGE = {"search/optimizer.lr": {"low": 0.01, "high": 0.1, "log": True}}
LR_CHOICES = {"search/optimizer.lr": {"choices": [0.01, 0.1]}, "num_trials": 8}
TIME = EpochTime(stage_one_s=2.0, stage_two_s=2.0, snapshot_bytes=2**20)


def test_preview_numbers() -> None:
    numbers = preview_of(
        make(
            {
                **TWO,
                **EPOCH_RULE,
                "search/loss.name": {"choices": ["abce"]},
                "search/optimizer.lr": {"low": 0.01, "high": 0.1, "log": True, "when": {"loss.name": "abce"}},
                "enqueue": [{"lam": 5}, {"lam": 500}],
            }
        ),
        [(2, 0)],
    )
    assert [cost.name for cost in numbers.scenarios] == ["digits", "digits-exp-0.05"]
    assert numbers.parameters == (
        ParameterRange("lam", "0.5 to 50, log", ""),
        ParameterRange("gamma", "0.1 to 1", ""),
        ParameterRange("ab_alpha", "0.1 to 1", ""),
        ParameterRange("switch_epoch", "8 to 12, whole", ""),
        ParameterRange("loss.name", "abce", ""),
        ParameterRange("optimizer.lr", "0.01 to 0.1, log", "loss.name is abce"),
    )
    assert (numbers.stopping.rungs, len(numbers.survivors), numbers.concurrent) == ((13, 15), 2, 2)
    assert 1 <= numbers.survivors[1] <= numbers.survivors[0] < 4
    assert numbers.points.inside == ({"lam": 5.0},)
    assert len(numbers.points.notes) == 1
    assert numbers.wall_s is None


def test_preview_starts_no_more_runs_than_there_are() -> None:
    assert preview_of(make(), [(64, 0)]).concurrent == 5
    assert preview_of(make({"resources": {"cpu": 3}}), [(2, 0), (2, 0)]).concurrent == 0


def test_preview_with_measured_epochs_estimates_wall_time() -> None:
    space = make({"early_stopping": None})
    numbers = preview_of(space, [(2, 0)], {"digits": TIME})
    assert numbers.wall_s == 8 * 2 + (40 - 8) * 2 / 2
    assert preview_of(space, [(0.5, 0)], {"digits": TIME}).wall_s is None, "nothing fits"


def drawn(
    changes: dict[str, Any], num_gpus: float = 0, times: dict[str, EpochTime] | None = None, width: int = 200
) -> str:
    console = Console(width=width, record=True, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(draw_preview(preview_of(make(changes), [(2, num_gpus)], times)))
    return captured.get()


def rows(text: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text.splitlines()]


def test_draw_preview_shows_every_number() -> None:
    text = drawn({**TWO, **EPOCH_RULE, "enqueue": [{"lam": 5}, {"lam": 500}], "time_budget": "30m", "trunks": "/t"})
    for part in (
        "digits, digits-exp-0.05",
        "4 trials and 1 control, 16 epochs",
        "trained once, by the control; trials fork from it after 8 to 12 epochs",
        "kept in /t",
        "trials are compared at the same epoch, by the metric",
        "after 13, 15 epochs; about ",
        " of 4 trials continue",
        "1800 s",
        "1 CPU, 0 GPU",
        "2 (2 CPUs, 0 GPUs)",
        "lam 5",
        "enqueue.1 is skipped: `lam` 500 lies outside 0.5 to 50, log",
    ):
        assert part in text
    assert ["each", "of", "2", "1", "6", "80", "40"] in [row[:7] for row in rows(text)]
    assert ["all", "2", "2", "12", "160", "80"] in [row[:6] for row in rows(text)]


def test_draw_preview_shows_rungs_by_age_and_then_by_epoch() -> None:
    text = " ".join(drawn({"early_stopping": {}, "num_trials": 32}).split())
    assert "after 2 epochs since the switch, then after 14 epochs; about 17, 7 of 32 trials continue" in text


def test_draw_preview_of_scenarios_that_differ_has_a_line_for_each() -> None:
    times = {"digits": TIME, "digits-exp-0.05": EpochTime(0.5, 1.0, 2**20)}
    text = drawn({**TWO, "early_stopping": None}, times=times)
    assert ["digits", "1", "6", "80", "40", "2"] in rows(text)
    assert ["digits-exp-0.05", "1", "6", "80", "40", "0.5"] in rows(text)
    assert ["all", "2", "2", "12", "160", "80", "0.5", "to", "2"] in rows(text)


def test_draw_preview_names_packings_that_do_not_fit() -> None:
    assert "none: only 2 CPUs, 0 GPUs here" in drawn({"resources": {"gpu": 0.5}})


def test_draw_preview_without_rungs() -> None:
    text = drawn({"early_stopping": None})
    assert "none: every trial trains to the last epoch" in text
    assert "with stopping" not in text
    text = drawn({"early_stopping": {"rule": "asha", "grace_period": 16}})
    assert "no rung before the last epoch (16), so every trial trains to the end" in text
    assert "with stopping" not in text


def test_draw_preview_where_sharing_is_impossible() -> None:
    text = drawn({**LR_RANGE, "early_stopping": None})
    assert (
        "not shared: `optimizer.lr` is a range, so each trial has its own stage one; give it as `choices` to "
        "share. Every trial trains its own: 40 more epochs than if all shared one"
    ) in " ".join(text.split())
    assert ["digits", "none", "none", "80", "none"] in rows(text)


def test_draw_preview_of_several_stage_ones() -> None:
    text = drawn({**LR_CHOICES, "base/optimizer": {"lr": 0.1}})
    assert "2 possible, by optimizer.lr; each is trained once, and its trials fork from it after 8 to 12" in text
    text = drawn({"search/optimizer.lr": {"choices": [0.01]}, "base/optimizer": {"lr": 0.1}})
    assert "1 possible, plus the control's own; each is trained once" in text


@pytest.mark.parametrize(
    ("choices", "listed"),
    [([4, 8, 12], "after 4, 8, 12 epochs"), ([8], "after 8 epochs"), ([8, 9], "after 8 to 9 epochs")],
)
def test_draw_preview_lists_where_trials_fork(choices: list[int], listed: str) -> None:
    assert listed in drawn({"search/switch_epoch": {"choices": choices}})


def test_draw_preview_of_the_median_rule() -> None:
    text = drawn({"early_stopping": {"rule": "median", "grace_period": 2}})
    assert "from 2 epochs since the switch on, at every epoch" in text
    assert "go on" not in text
    assert ["digits", "1", "6", "80", "40", "not", "estimated"] in rows(text)
    text = drawn({"early_stopping": {"rule": "median", "grace_period": 8}})
    assert "no rung before the last epoch (16), so every trial trains to the end" in text
    assert "estimated" not in text


def test_draw_preview_of_the_median_rule_shows_the_time_without_stopping() -> None:
    times = {"digits": EpochTime(0.9, 0.95, 2**20)}
    median: dict[str, Any] = {"early_stopping": {"rule": "median", "grace_period": 2}}
    assert "about 22 s if no trial is stopped (0.9 s an epoch on this machine, 2 at once)" in drawn(median, times=times)
    assert all(len(line.rstrip()) <= 80 for line in drawn({**median, **TWO}, width=80).splitlines())


def test_draw_preview_describes_the_measurement() -> None:
    text = drawn({"early_stopping": None}, times={"digits": EpochTime(0.9, 0.95, 2**20)})
    assert "about 22 s (0.9 s an epoch on this machine, 2 at once)" in text
    assert "6.0 MiB in all" in text
    assert "parallel runs and other load change it; start-up of Ray and of each trial is not included" in text


def test_draw_preview_notes_a_slower_stage_two_and_a_partial_measurement() -> None:
    text = drawn({"early_stopping": None}, times={"digits": EpochTime(90, 120, 2**20, trained_share=0.12)})
    assert "(90 s an epoch on this machine, 120 s in stage two, 2 at once)" in text
    assert "12% of an epoch, one run at a time" in text


def test_draw_preview_fits_80_columns() -> None:
    noise = [{"noise": {"type": "symmetric", "rate": rate}} for rate in (0.2, 0.4)]
    times = {f"digits-symmetric-{rate}": EpochTime(rate, rate, 2**20) for rate in (0.2, 0.4)}
    text = drawn({"scenarios": noise, "base/epochs": 200, "num_trials": 1000}, times=times, width=80)
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "digits-symmetric-0.4" in text
    assert "200,200" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (172799, "48.0 h"),
        (172800, "2.0 days"),
    ],
)
def test_duration_words(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


CONFIRM = {"confirm": {"max_pairs": 3, "controls": ["ce", "ce-lr", "cb-ce-drw"]}}


def test_preview_counts_the_confirmation_at_most_and_as_expected() -> None:
    numbers = preview_of(make(CONFIRM), [(2, 0)], {"digits": TIME})
    (cost,) = numbers.confirmation
    assert (cost.controls, cost.max_pairs, cost.num_runs) == (("ce", "ce-lr", "cb-ce-drw"), 3, 12)
    most = 2 * 16 + 2 * (16 - 10)
    assert cost.epochs == 3 * most, "what forks trains the epochs after its switch, 10 on average"
    assert most - 16 <= cost.expected.epochs <= cost.epochs
    assert 1 <= cost.expected.num_rounds <= 3
    assert numbers.confirm_s is not None
    assert cost.expected.num_rounds <= cost.expected.num_steps <= 3 * cost.expected.num_rounds
    assert numbers.confirm_s >= cost.expected.num_steps * 16 * TIME.stage_one_s, "steps wait for each other"
    text = " ".join(drawn(CONFIRM, times={"digits": TIME}).split())
    expected = f"about {round(cost.expected.epochs)} epochs on {cost.expected.num_rounds:.1f} pairs expected"
    assert (
        "confirmation the best configuration and ce, ce-lr and cb-ce-drw, on up to 3 fresh pairs of seeds, while a "
        f"comparison is undecided: {expected}, at most 12 runs and {3 * most} epochs"
    ) in text
    assert "for the confirmation" in text
    assert "confirmation none: the test set is not read" in " ".join(drawn({}).split())


def test_epoch_budget_bounds_the_confirmation_in_the_preview() -> None:
    budget = {"confirm": {**CONFIRM["confirm"], "epoch_budget": 60}}
    (cost,) = preview_of(make(budget), [(2, 0)]).confirmation
    assert cost.epochs == 60
    assert cost.expected.epochs <= 60


def test_equal_scenarios_are_simulated_alike() -> None:
    several = {**CONFIRM, "scenarios": [{"imbalance": {"type": "exp", "ratio": ratio}} for ratio in (0.1, 0.02)]}
    one, other = preview_of(make(several), [(2, 0)]).confirmation
    assert one == other


def test_draw_preview_counts_a_control_for_each_stage_one_and_uses_plurals() -> None:
    several = {"search/optimizer.lr": {"choices": [0.05, 0.2]}, "num_trials": 40}
    assert "40 trials and about 2 controls, one for each stage one, 16 epochs each" in drawn(several)
    assert "1 trial and 1 control, 16 epochs each" in drawn({"num_trials": 1})
    one = {"confirm": {"max_pairs": 1, "controls": ["ce"]}}
    said = "the best configuration and ce, on up to 1 fresh pair of seeds, while a comparison is undecided"
    assert f"{said}: about 22 epochs" in " ".join(drawn(one).split())


@pytest.mark.parametrize("width", [80, 60, 40])
def test_draw_preview_breaks_no_word(width: int) -> None:
    wide, narrow = drawn(TWO), drawn(TWO, width=width)
    names = {"parameter", "range", "when", "epochs", "of", "─"}
    assert {word for word in wide.split() if "─" not in word} - names <= set(narrow.split())


def test_draw_preview_of_a_scenario_that_was_not_measured_in_time() -> None:
    text = drawn({**TWO, "early_stopping": None}, times={"digits": TIME})
    assert ["digits", "1", "6", "80", "40", "2"] in rows(text)
    assert ["digits-exp-0.05", "1", "6", "80", "40", "not", "measured"] in rows(text)
    assert "wall time" not in text, "of all scenarios it is unknown"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"base/optimizer": {"sam_rho": 0.05}}, "two in every step"),
        ({"search/optimizer.sam_rho": {"choices": [0.0, 0.05]}}, "two in steps with `optimizer.sam_rho` > 0"),
    ],
)
def test_draw_preview_says_where_a_step_takes_two_passes(changes: dict[str, Any], said: str | None) -> None:
    shown = " ".join(drawn(changes).split())
    assert ("passes" in shown) == (said is not None)
    assert said is None or (said in shown and "about twice as long" in shown)


def test_measured_times_are_of_the_passes_of_the_control() -> None:
    changes = {"search/optimizer.sam_rho": {"choices": [0.05, 0.0]}, "base/optimizer": {"sam_rho": 0.0}}
    numbers = preview_of(make(changes), [(2, 0)], {"digits": TIME})
    assert str(numbers.passes).endswith("; times here are for `sam_rho` 0")
