"""Rungs are never where trials are still equal, and the number of trials expected to pass each."""

from __future__ import annotations

import itertools
import random
from typing import Any, cast

import pytest

from tests.support.spaces import make
from tune_runs.stopping.rungs import EarlyStopping, Rung, early_stopping, expected_passing, places
from tune_runs.stopping.stopping_rules import ScenarioStopping

PLAIN: dict[str, Any] = {"base/loss": {"name": "ce"}, "search": {"optimizer.lr": {"low": 0.01, "high": 0.1}}}


def stopping_of(changes: dict[str, Any], **config: Any) -> EarlyStopping:
    return early_stopping(make({**changes, "early_stopping": config}))


def test_with_several_pairs_of_seeds_more_trials_continue_unless_told() -> None:
    space = {"base/epochs": 60, "search/switch_epoch": {"low": 36, "high": 52}}
    one, several = (stopping_of({**space, "seeds/pairs": pairs}) for pairs in (1, 2))
    assert (one.rungs[:2], one.ladder[0].reduction_factor) == ((2, 6), 3)
    assert (several.rungs[:3], several.ladder[0].reduction_factor) == ((2, 4, 8), 2)
    told = stopping_of({**space, "seeds/pairs": 2}, reduction_factor=3)
    assert told.ladder == one.ladder


@pytest.mark.parametrize(
    ("changes", "config", "grace_period", "rungs"),
    [
        ({}, {}, 13, (13, 15)),
        ({}, {"reduction_factor": 2}, 13, (13, 14)),
        ({}, {"grace_period": 14}, 14, (14,)),
        ({}, {"grace_period": 16}, 16, ()),
        ({"base/epochs": 200}, {}, 13, (13, 15, 21, 39, 93)),
        ({"search/switch_epoch": {"choices": [3, 9, 6]}}, {}, 10, (10, 12)),
        (PLAIN, {}, 1, (1, 3, 9)),
    ],
)
def test_rungs_by_epoch_start_after_the_latest_switch(
    changes: dict[str, Any], config: dict[str, Any], grace_period: int, rungs: tuple[int, ...]
) -> None:
    stopping = stopping_of(changes, rule="asha", **config)
    assert (stopping.grace_period, stopping.rungs, stopping.unit) == (grace_period, rungs, "epochs")


@pytest.mark.parametrize("rule", ["age", "advantage", "mean_advantage"])
@pytest.mark.parametrize(
    ("changes", "config", "rungs"),
    [
        ({}, {}, (2, 6)),  # switch 8..12 of 16: the longest stage two has 8 epochs
        ({}, {"reduction_factor": 2, "grace_period": 1}, (1, 2, 4)),
        ({}, {"grace_period": 3}, (3,)),
        ({}, {"grace_period": 8}, ()),
        ({"base/epochs": 13}, {}, (2,)),
        ({"base/epochs": 208}, {}, (10, 30, 90)),
        ({"search/switch_epoch": {"choices": [15]}}, {}, ()),  # one epoch of stage two
        (PLAIN, {}, (2, 6)),
    ],
)
def test_rungs_by_age(rule: str, changes: dict[str, Any], config: dict[str, Any], rungs: tuple[int, ...]) -> None:
    stopping = stopping_of(changes, rule=rule, **config)
    assert (stopping.rungs, stopping.final_rungs) == (rungs, ())
    assert stopping.unit == ("epochs since the switch" if rungs else "epochs")


@pytest.mark.parametrize(
    ("changes", "config", "by_age", "by_epoch"),
    [
        ({}, {}, (2,), (14,)),
        ({}, {"reduction_factor": 2, "grace_period": 1}, (1, 2, 4), (13, 14)),
        ({"base/epochs": 24}, {"grace_period": 1}, (1, 3), (13, 15, 21)),
        ({"base/epochs": 208}, {}, (10,), (22, 42, 102)),
        ({"search/switch_epoch": {"choices": [12]}}, {"grace_period": 1}, (1, 3), ()),
        (PLAIN, {}, (2, 6), ()),
    ],
)
def test_rungs_by_age_up_to_the_latest_switch_then_by_epoch(
    changes: dict[str, Any], config: dict[str, Any], by_age: tuple[int, ...], by_epoch: tuple[int, ...]
) -> None:
    stopping = stopping_of(changes, rule="age_then_epoch", **config)
    assert (stopping.rungs, stopping.final_rungs, stopping.unit) == (by_age, by_epoch, "epochs since the switch")
    assert {rung.reduction_factor for rung in stopping.ladder} == {config.get("reduction_factor", 3)}


def test_without_a_rung_the_median_stops_no_trial() -> None:
    stopping = stopping_of({}, rule="median", grace_period=8)
    assert not any(stopping.rung_at(8, epoch) for epoch in range(16))


def test_median_compares_at_every_epoch_from_the_first_rung_on() -> None:
    stopping = stopping_of({}, rule="median", grace_period=3)
    assert stopping.rungs == (3,)
    met = [rung.at for epoch in range(16) if (rung := stopping.rung_at(9, epoch))]
    assert met == [3, 4, 5, 6]  # epochs 11 to 14; the last one decides nothing


def test_no_trial_is_compared_before_the_switch_or_at_the_last_epoch() -> None:
    for rule in ("asha", "age", "advantage", "mean_advantage", "age_then_epoch", "median"):
        stopping = stopping_of({}, rule=rule)
        for switch in (8, 10, 12, None):
            met = [epoch for epoch in range(16) if stopping.rung_at(switch, epoch)]
            assert met
            assert min(met) >= (12 if switch is None else switch)
            assert max(met) < 15


def test_without_early_stopping_there_are_no_rungs() -> None:
    stopping = early_stopping(make({"early_stopping": None}))
    assert (stopping.rule, stopping.grace_period, stopping.rungs, stopping.survivors(32, [8])) == (None, None, (), ())
    assert (stopping.earliest_switch, stopping.latest_switch) == (8, 12)
    assert stopping.expected_epochs(10, [8, 12]) == 5 * 8 + 5 * 4
    assert stopping.words == "none: every trial trains to the last epoch"


def test_switches_count_the_base_value_of_trials_that_do_not_draw_it() -> None:
    search = {
        "optimizer.lr": {"choices": [0.1, 0.2]},
        "switch_epoch": {"low": 3, "high": 5, "when": {"optimizer.lr": 0.1}},
    }
    attention = {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 9}
    stopping = early_stopping(make({"search": search, "base/attention": attention}))
    assert (stopping.earliest_switch, stopping.latest_switch) == (3, 9)


@pytest.mark.parametrize("rule", ["asha", "age", "advantage"])
@pytest.mark.parametrize("num_trials", [5, 32])
def test_expected_survivors_and_epochs_equal_trials_in_random_order(rule: str, num_trials: int) -> None:
    """Compared with searches over noise, one trial at a time: results at one rung say nothing about the next."""
    stopping = stopping_of({"base/epochs": 20}, rule=rule)
    switches, source, searches = range(8, 13), random.Random(0), 400
    epochs, stopped = 0, dict.fromkeys(stopping.ladder, 0)
    for _ in range(searches):
        judge = ScenarioStopping(stopping, "max", lambda _: 0.0)
        for number in range(num_trials):
            switch = source.choice(switches)
            for epoch in range(switch, 20):
                epochs += 1
                if judge.falls_behind(str(number), switch, epoch, source.random()):
                    stopped[cast(Rung, stopping.rung_at(switch, epoch))] += 1
                    break
    assert epochs / searches == pytest.approx(stopping.expected_epochs(num_trials, switches), rel=0.03)
    left = [num_trials - count / searches for count in itertools.accumulate(stopped.values())]
    assert left == pytest.approx(stopping.survivors(num_trials, switches), rel=0.05)


def test_stops_of_the_median_rule_are_not_modelled() -> None:
    stopping = stopping_of({}, rule="median")
    assert not stopping.is_modelled
    assert stopping.survivors(32, [8, 12]) == ()
    assert stopping.expected_epochs(32, [8, 12]) == 16 * 8 + 16 * 4
    assert stopping_of({}, rule="median", grace_period=8).is_modelled, "it has no rung: nobody is stopped"
    assert all(stopping_of({}, rule=rule).is_modelled for rule in ("asha", "age", "mean_advantage", "age_then_epoch"))


def test_words_mention_later_rungs_where_they_exist() -> None:
    assert stopping_of({}, rule="age_then_epoch").words.endswith("; then at the same epochs, by the metric")
    assert "then" not in stopping_of({}, rule="advantage").words


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_expected_passing_of_many_trials_is_the_sum_over_each(factor: int) -> None:
    num_trials = 30_000
    exact = sum(places(n, factor) / n for n in range(1, num_trials + 1))
    assert expected_passing(num_trials, factor) == pytest.approx(exact, rel=1e-8)
    assert expected_passing(10**12, factor) == pytest.approx(10**12 / factor, rel=1e-9)
