"""Trials that fall behind, on curves made by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.spaces import make
from tune_runs.stopping.rungs import early_stopping
from tune_runs.stopping.stopping_rules import Never, ScenarioStopping

EPOCHS, RULES = 16, ("asha", "age", "advantage", "mean_advantage", "age_then_epoch", "median")
GAIN_RULES = RULES[2:]
CONTROL = [0.5 + 0.01 * epoch for epoch in range(EPOCHS)]


class Control:
    """The known values of the plain control, which may have ended after them."""

    def __init__(self, values: Sequence[float] = CONTROL, known: int = EPOCHS, ended: bool = False) -> None:
        self.values, self.known, self.ended = values, known, ended
        self.calls = 0

    def __call__(self, epoch: int) -> float | Never | None:
        self.calls += 1
        if epoch < self.known:
            return self.values[epoch]
        return Never.COMES if self.ended else None


def judge_of(rule: str, control: Control | None = None, mode: Any = "max", **config: Any) -> ScenarioStopping:
    """Switch epochs 8 to 12 of 16; by age the rungs are at 1, 2 and 4, and every second trial continues."""
    early = {} if rule == "asha" else {"grace_period": 1}
    gentle = {"reduction_factor": 2} if rule not in ("asha", "median") else {}
    space = make({"early_stopping": {"rule": rule, **early, **gentle, **config}})
    return ScenarioStopping(early_stopping(space), mode, control or Control())


def epochs_trained(judge: ScenarioStopping, trial_id: str, switch: int | None, values: Sequence[float]) -> int:
    """Report the epochs of a trial, given its values from its switch on."""
    first = EPOCHS - len(values) if switch is None else switch
    for epoch, value in enumerate(values, start=first):
        if judge.falls_behind(trial_id, switch, epoch, value):
            return epoch + 1 - first
    return len(values)


def gains(switch: int, *amounts: float) -> list[float]:
    """Return values above the control; the last gain stays."""
    padded = itertools.chain(amounts, itertools.repeat(amounts[-1]))
    return [control + gain for control, gain in zip(CONTROL[switch:], padded, strict=False)]


def test_by_epoch_no_trial_is_stopped_before_the_first_epoch_after_the_latest_switch() -> None:
    judge = judge_of("asha")
    assert epochs_trained(judge, "good", 8, gains(8, 0.1)) == 8
    assert epochs_trained(judge, "poor", 8, gains(8, 0.0)) == 5
    assert epochs_trained(judge, "late", 12, gains(12, 0.0)) == 1
    assert epochs_trained(judge, "better", 8, gains(8, 0.0, 0.0, 0.0, 0.0, 0.2)) == 8


def test_by_age_the_later_switch_has_the_advantage_of_a_better_start() -> None:
    """The control rises by 0.01 each epoch: the metric at the same age prefers a trial that switched later."""
    by_metric = judge_of("age")
    assert epochs_trained(by_metric, "late", 12, gains(12, 0.0)) == 4
    assert epochs_trained(by_metric, "early and better", 8, gains(8, 0.02)) == 1
    by_advantage = judge_of("advantage")
    assert epochs_trained(by_advantage, "late", 12, gains(12, 0.0)) == 4
    assert epochs_trained(by_advantage, "early and better", 8, gains(8, 0.02)) == 8


def test_the_mean_since_the_switch_forgives_one_bad_epoch() -> None:
    first, dip = gains(9, 0.02), gains(9, 0.05, 0.0, 0.05)
    assert [epochs_trained(judge_of_pair(rule, first), "dip", 9, dip) for rule in ("advantage", "mean_advantage")] == [
        2,
        7,
    ]


def judge_of_pair(rule: str, values: Sequence[float]) -> ScenarioStopping:
    """A scenario that one trial has passed, switched at epoch 9."""
    judge = judge_of(rule)
    epochs_trained(judge, "first", 9, values)
    return judge


def test_best_fraction_of_many_trials_continues() -> None:
    judge = judge_of("advantage", reduction_factor=3)
    left = [epochs_trained(judge, str(n), 9, gains(9, gain)) for n, gain in enumerate((3, 1, 2.5, 2, 3.5, 4, 1))]
    assert left == [7, 1, 1, 1, 7, 7, 1]


def test_equal_trials_count_half() -> None:
    judge = judge_of("advantage", reduction_factor=3)
    left = [epochs_trained(judge, str(n), 9, [1.0] * 7) for n in range(4)]
    assert left == [7, 7, 1, 3]  # 0 < 1 of 1, 0.5 < 1 of 2, 1 of 3, 1.5 < 2 of 4; at the next rung 1 of 3


def test_gains_that_differ_by_rounding_alone_are_equal() -> None:
    assert 0.7 - 0.5 != 0.8 - 0.6
    judge = judge_of("advantage", Control([0.5] * 9 + [0.6] * 7))
    assert judge.falls_behind("a", 8, 8, 0.7) is False
    assert judge.falls_behind("b", 9, 9, 0.8) is False
    (scores,) = judge.scores.values()
    assert scores["a"] == scores["b"]


def test_equal_trials_are_all_kept_by_half() -> None:
    judge = judge_of("advantage", reduction_factor=2)
    assert {epochs_trained(judge, str(n), 9, gains(9, 0.0)) for n in range(20)} == {7}


def test_median_stops_below_the_middle_once_three_others_have_results() -> None:
    judge = judge_of("median")
    left = [epochs_trained(judge, str(n), 9, gains(9, gain)) for n, gain in enumerate((1, 3, 2, 1, 4, 2.5))]
    assert left == [7, 7, 7, 1, 7, 7]


def test_median_compares_the_best_so_far() -> None:
    judge = judge_of("median")
    for n in range(3):
        epochs_trained(judge, str(n), 9, gains(9, 0.2))
    assert epochs_trained(judge, "once good", 9, gains(9, 0.3, 0.0)) == 7
    assert epochs_trained(judge, "from two on", 9, gains(9, 0.2, 0.3, 0.0)) == 7
    assert epochs_trained(judge, "poor", 9, gains(9, 0.1)) == 1


def test_age_then_epoch_changes_over_after_the_latest_switch() -> None:
    """By age the best gain so far is compared, after the latest switch the metric."""
    judge = judge_of("age_then_epoch")
    left = [epochs_trained(judge, str(n), 8, gains(8, gain)) for n, gain in enumerate((5, 1, 6, 5.5, 7, 5.6))]
    assert left == [8, 1, 8, 8, 8, 8]
    assert epochs_trained(judge, "once good", 8, gains(8, 9, 0)) == 5
    assert epochs_trained(judge, "latest", 12, gains(12, 1)) == 1
    assert epochs_trained(judge, "best at last", 8, gains(8, 6.5, 6.5, 6.5, 6.5, 9)) == 8


@pytest.mark.parametrize("rule", RULES)
def test_smaller_is_better_where_the_metric_says_so(rule: str) -> None:
    """The same trials, with the sign of every value reversed, are stopped at the same epochs."""
    curves = [gains(9, gain, gain / 2, gain) for gain in (0.1, 0.3, 0.2, 0.05, 0.4, 0.35)]
    up, down = judge_of(rule), judge_of(rule, Control([-value for value in CONTROL]), mode="min")
    larger = [epochs_trained(up, str(n), 9, values) for n, values in enumerate(curves)]
    assert larger == [epochs_trained(down, str(n), 9, [-value for value in v]) for n, v in enumerate(curves)]
    assert min(larger) < 7


@pytest.mark.parametrize("rule", GAIN_RULES)
def test_results_wait_for_the_control_and_are_judged_against_their_own_epoch(rule: str) -> None:
    curves = {str(n): gains(8, gain, gain / 2, gain) for n, gain in enumerate((0.1, 0.3, 0.2, 0.05, 0.4, 0.35))}
    control = Control(known=8)
    late, ahead = judge_of(rule, control), judge_of(rule)
    for number, values in curves.items():
        assert not late.falls_behind(number, 8, 8, values[0])
    assert not late.scores
    behind = {number for number, values in curves.items() if ahead.falls_behind(number, 8, 8, values[0])}
    assert behind
    control.known = 9
    for number, values in curves.items():  # reported at their next result, whose control value is not known yet
        assert late.falls_behind(number, 8, 9, values[1]) == (number in behind)
    assert late.scores == ahead.scores


def test_results_that_waited_are_judged_in_the_order_in_which_they_came() -> None:
    """Not in the order of their epochs: the first at a rung passes, the second is compared with it."""
    control = Control(known=8)
    judge = judge_of("advantage", control)
    assert not judge.falls_behind("good, later switch", 10, 10, CONTROL[10] + 0.3)
    assert not judge.falls_behind("poor", 8, 8, CONTROL[8] + 0.1)
    control.known = 11
    assert judge.falls_behind("poor", 8, 10, CONTROL[10])


def test_results_of_ended_trials_are_judged_too() -> None:
    control = Control(known=0)
    judge = judge_of("advantage", control)
    assert epochs_trained(judge, "good", 8, gains(8, 0.3)) == 8
    control.known = EPOCHS
    assert judge.falls_behind("poor", 9, 9, gains(9, 0.1)[0])
    assert [sorted(scores) for scores in judge.scores.values()] == [["good", "poor"], ["good"], ["good"]]


def test_rungs_by_epoch_do_not_wait_for_the_control() -> None:
    """Rungs by age, which compare gains, do."""
    control = Control(known=0)
    judge = judge_of("age_then_epoch", control)
    assert epochs_trained(judge, "good", 8, gains(8, 0.3)) == 8
    assert epochs_trained(judge, "poor", 8, gains(8, 0.1)) == 5
    assert {rung: dict(scores) for rung, scores in by_rung(judge).items()} == {
        ("epochs", 13): {"good": pytest.approx(CONTROL[12] + 0.3), "poor": pytest.approx(CONTROL[12] + 0.1)},
        ("epochs", 14): {"good": pytest.approx(CONTROL[13] + 0.3)},
    }
    control.known = 13
    assert judge.falls_behind("late", 12, 12, CONTROL[12])
    ages = {rung: sorted(scores) for rung, scores in by_rung(judge).items() if rung[0] != "epochs"}
    assert ages == {("epochs since the switch", age): ["good", "poor"] for age in (1, 2, 4)}


def test_gains_judged_late_compare_their_own_age_only() -> None:
    """The best gain up to a rung by age, whatever was compared by epoch while it waited."""
    control, ahead = Control(known=0), judge_of("age_then_epoch")
    late = judge_of("age_then_epoch", control)
    curves = {"rising": gains(8, 0.1, 0.2, 0.3, 0.4, 0.5), "dip": gains(8, 0.4, 0.1)}
    for judge in (late, ahead):
        for number, values in curves.items():
            for epoch, value in enumerate(values, start=8):
                judge.falls_behind(number, 8, epoch, value)
    control.known = EPOCHS
    late.falls_behind("rising", 8, EPOCHS - 1, 0.0)
    assert late.scores == ahead.scores
    assert len(ahead.scores) == 5


@pytest.mark.parametrize("rule", ["asha", "age"])
def test_rules_that_compare_the_metric_never_ask_the_control(rule: str) -> None:
    control = Control(known=0)
    judge = judge_of(rule, control)
    assert epochs_trained(judge, "good", 12, gains(12, 0.3)) == 4
    assert epochs_trained(judge, "poor", 12, gains(12, 0.1)) == 1
    assert control.calls == 0


@pytest.mark.parametrize("rule", GAIN_RULES)
def test_a_gain_over_a_control_that_ended_is_not_compared(rule: str) -> None:
    """Its trial continues; rungs before the end of the control, and those by epoch, compare as before."""
    control = Control(known=10)
    judge = judge_of(rule, control)
    for n in range(4):
        assert epochs_trained(judge, str(n), 9, gains(9, 0.3 + n)) == 7
    assert {at for unit, at in by_rung(judge) if unit != "epochs"} == {1}
    control.ended = True
    assert epochs_trained(judge, "poor but late", 10, gains(10, 0.0)) == (3 if rule == "age_then_epoch" else 6)
    assert epochs_trained(judge, "poor", 9, gains(9, 0.0)) == 1
    assert {at for unit, at in by_rung(judge) if unit != "epochs"} == {1}


@pytest.mark.parametrize("rule", GAIN_RULES)
@pytest.mark.parametrize("at_end", [0, 8, 9, 11])
def test_replayed_results_leave_the_same_scores_where_the_control_ended(rule: str, at_end: int) -> None:
    """Whether they had waited for it or arrived later."""
    control = Control(known=0)
    judge = judge_of(rule, control)
    curves = {str(n): (8 + n % 5, gains(8 + n % 5, gain, gain / 2)) for n, gain in enumerate((0.1, 0.3, 0.2, 0.05))}
    done = {}
    for number, (switch, values) in curves.items():
        done[number] = epochs_trained(judge, number, switch, values)
        control.known = min(at_end, control.known + 6)
        control.ended = number == "2"
    for first in (list(curves), list(reversed(curves))):
        again = judge_of(rule, Control(known=at_end, ended=True))
        for number in first:
            switch, values = curves[number]
            for epoch, value in enumerate(values[: done[number]], start=switch):
                again.falls_behind(number, switch, epoch, value)
        assert again.scores == judge.scores


def test_waiting_results_cost_no_more_the_more_of_them_there_are() -> None:
    control = Control(known=8)
    judge = judge_of("advantage", control)
    reports = 0
    for n in range(100):
        reports += epochs_trained(judge, str(n), 8, gains(8, 0.1))
    assert reports == 800
    assert control.calls == reports
    control.known, control.calls = 10, 0
    judge.falls_behind("0", 8, EPOCHS - 1, 0.0)
    assert control.calls == 3, "epochs 8 and 9, and 10, which is not known"
    assert {at: len(scores) for (_, at), scores in by_rung(judge).items()} == {1: 100, 2: 100}


@pytest.mark.parametrize(
    ("rule", "later_rung", "last"),
    [("advantage", ("epochs since the switch", 2), 9), ("age_then_epoch", ("epochs", 13), 12)],
)
def test_late_judgement_does_not_stop_a_trial_among_the_best_at_a_later_rung(
    rule: str, later_rung: tuple[str, int], last: int
) -> None:
    """Otherwise it might be stopped at the earlier rung, and all others for being behind it at the later one."""
    control = Control(known=8)
    judge = judge_of(rule, control)
    for number, amounts in (("first", (0.3, 0.1)), ("at last", (0.1, 0.5))):
        before, at_last = amounts
        values = gains(8, *[before] * (last - 8), at_last)
        assert not any(judge.falls_behind(number, 8, epoch, values[epoch - 8]) for epoch in range(8, last + 1))
    control.known = last + 1
    assert not judge.falls_behind("at last", 8, last + 1, CONTROL[last + 1] + 0.5)
    earlier, later = by_rung(judge)["epochs since the switch", 1], by_rung(judge)[later_rung]
    assert earlier["at last"] < earlier["first"]
    assert later["at last"] > later["first"]


def by_rung(judge: ScenarioStopping) -> dict[tuple[str, int], dict[str, float]]:
    return {(rung.unit, rung.at): scores for rung, scores in judge.scores.items()}


def test_mean_includes_epochs_that_wait() -> None:
    """The control's value at a later epoch may be known before that at an earlier one."""
    values: dict[int, float] = {9: 0.0}
    judge = ScenarioStopping(
        early_stopping(make({"early_stopping": {"rule": "mean_advantage", "grace_period": 1, "reduction_factor": 2}})),
        "max",
        values.get,
    )
    judge.falls_behind("a", 8, 8, 1.0)
    judge.falls_behind("a", 8, 9, 3.0)
    assert not judge.scores
    values[8] = 0.0
    judge.falls_behind("a", 8, 10, 5.0)
    assert [scores["a"] for scores in judge.scores.values()] == [1.0, 2.0]


@pytest.mark.parametrize("rule", RULES)
def test_replayed_results_leave_the_same_state_whichever_trial_comes_first(rule: str) -> None:
    amounts = (0.1, 0.3, 0.2, 0.05, 0.4, 0.35, 0.15)
    curves = {str(n): (8 + n % 5, gains(8 + n % 5, gain, gain / 2, gain)) for n, gain in enumerate(amounts)}
    judge = judge_of(rule)
    turns = {number: epochs_trained(judge, number, switch, values) for number, (switch, values) in curves.items()}
    assert min(turns[number] - len(values) for number, (_, values) in curves.items()) < 0
    again = judge_of(rule)
    for number in reversed(curves):
        switch, values = curves[number]
        for epoch, value in enumerate(values[: turns[number]], start=switch):
            again.falls_behind(number, switch, epoch, value)
    assert again.scores == judge.scores


def test_epochs_before_the_switch_and_repeated_ones_do_not_count() -> None:
    judge = judge_of("mean_advantage")
    for epoch in (6, 7, 8, 8, 9, 8, 9):
        judge.falls_behind("a", 8, epoch, CONTROL[epoch] + (0.2 if epoch == 9 else 0.1))
    assert [scores["a"] for scores in judge.scores.values()] == pytest.approx([0.1, 0.15])


def test_trials_without_a_switch_count_from_the_latest_of_the_space() -> None:
    judge = judge_of("advantage")
    assert epochs_trained(judge, "good", 8, gains(8, 0.1)) == 8
    assert epochs_trained(judge, "plain", None, CONTROL) == 13  # epoch 12 is the first after the latest switch
    assert epochs_trained(judge, "plain that forks at the last epoch", None, CONTROL[-1:]) == 1


@pytest.mark.parametrize("rule", RULES)
def test_value_that_is_not_a_number_ranks_last(rule: str) -> None:
    judge = judge_of(rule)
    for n in range(3):
        assert epochs_trained(judge, str(n), 12, gains(12, 0.1 * n)) == 4
    assert epochs_trained(judge, "not a number", 12, [math.nan] * 4) == 1
    assert epochs_trained(judge, "good", 12, gains(12, 0.4)) == 4


@pytest.mark.parametrize("rule", RULES)
def test_at_least_one_trial_trains_to_the_end(rule: str) -> None:
    """Four at once, in turn, whose ranks change from epoch to epoch."""
    for seed in range(30):
        judge = judge_of(rule)
        curves = {
            str(n): (8 + (n * 7 + seed) % 5, [math.sin(seed + n * n + epoch * (n % 3)) for epoch in range(16)])
            for n in range(12)
        }
        assert completed(judge, curves, at_once=4)


def completed(judge: ScenarioStopping, curves: dict[str, tuple[int, list[float]]], at_once: int) -> list[str]:
    waiting, live, done = list(curves), dict[str, int](), []
    while waiting or live:
        while waiting and len(live) < at_once:
            number = waiting.pop(0)
            live[number] = curves[number][0]
        for number, epoch in list(live.items()):
            switch, values = curves[number]
            live[number] += 1
            if judge.falls_behind(number, switch, epoch, values[epoch]):
                del live[number]
            elif epoch == EPOCHS - 1:
                done.append(number)
                del live[number]
    return done
