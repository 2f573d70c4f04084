"""The comparison of two runs of the same configurations."""

from __future__ import annotations

import dataclasses
import math

import pytest

from absgd.records import METRICS
from benchmarks.complete_curves.curve_training import random_configs, switch_epochs
from benchmarks.search_cost.case_results import (
    best_value,
    compare_plain,
    critical_path,
    differing,
    exact_epochs,
    regret,
    repeat_of,
)
from benchmarks.search_cost.search_runs import CommandRun, EpochChain, MetricCurves, PlainRun
from tests.support.case_results_made_up import OFF, ON, REPEAT, measured
from tests.support.case_results_made_up import against as plain_of
from tests.support.spaces import make
from tune_runs.space.model import SearchSpace

SPACE = make({"num_trials": 2})
(SCENARIO,) = SPACE.scenario_list
MetricValues = tuple[float | None, ...]


def values(value: float, loss: float = 0.5) -> MetricValues:
    """Make the metrics of an epoch: every accuracy, and the loss."""
    return tuple(loss if better == "min" else value for better in METRICS.values())


def curve(*accuracies: float) -> list[MetricValues]:
    return [values(accuracy) for accuracy in accuracies]


def curves(*of_trials: list[MetricValues], scenario: str = SCENARIO.name) -> MetricCurves:
    return {(scenario, number): of_trial for number, of_trial in enumerate(of_trials)}


def run(of: MetricCurves) -> CommandRun:
    """Make a run of the command with 12 s and 24 epochs."""
    chains = {SCENARIO.name: EpochChain(16, ((8, 8),))}
    return CommandRun(12.0, of, chains, 6.0, (0.1,), start_s=1.0, worker_s=0.5, end_s=0.25)


def flipped(value: float) -> float:
    """Return the number with its last bit changed."""
    return math.nextafter(value, 1.0)


def test_exact_epochs_are_the_control_and_every_trial_from_its_switch() -> None:
    space = make({"num_trials": 3})
    (run, *_) = random_configs(space, space.scenario_list[0])
    runs = [run.with_values({"attention.switch_epoch": switch}) for switch in (8, 12, 15)]
    assert exact_epochs(runs) == 16 + 8 + 4 + 1


def test_exact_epochs_of_a_run_without_a_switch_are_refused() -> None:
    (run, *_) = random_configs(SPACE, SCENARIO)
    with pytest.raises(AssertionError, match="stage two"):
        exact_epochs([run, run.stage_one()])


@pytest.mark.parametrize("place", range(len(METRICS)))
@pytest.mark.parametrize("epoch", [0, 15])
def test_one_flipped_bit_is_a_difference(place: int, epoch: int) -> None:
    plain, ours = curves(curve(*[0.5] * 16), curve(*[0.6] * 16)), curves(curve(*[0.5] * 16), curve(*[0.6] * 16))
    assert differing(plain, ours) == []
    row = list(ours[SCENARIO.name, 1][epoch])
    row[place] = flipped(0.5 if row[place] == 0.5 else 0.6)
    changed = [*ours[SCENARIO.name, 1]]
    changed[epoch] = tuple(row)
    assert differing(plain, curves(ours[SCENARIO.name, 0], changed)) == [(SCENARIO.name, 1)]


def test_missing_value_is_a_difference() -> None:
    plain = curves([(None, 0.5)])
    assert differing(plain, curves([(None, 0.5)])) == []
    assert differing(plain, curves([(0.0, 0.5)])) == [(SCENARIO.name, 0)]


def test_shorter_curve_is_not_a_difference() -> None:
    long, short = curves(curve(0.1, 0.2, 0.3)), curves(curve(0.1, 0.2))
    assert differing(long, short) == differing(short, long) == []


def test_curves_of_other_trials_are_refused() -> None:
    with pytest.raises(AssertionError, match="the same configurations"):
        differing(curves(curve(0.1)), curves(curve(0.1), curve(0.2)))


def test_agreement_is_counted_after_the_switch_over_all_repeats() -> None:
    """Trial 0 agrees and is stopped by ours after 13 of 16 epochs; trial 1 differs only in the second repeat."""
    first = curves(curve(*[0.5] * 13), curve(*[0.7] * 16))
    second = curves(curve(*[0.5] * 13), curve(*[0.7] * 15, flipped(0.7)))
    plain = PlainRun(30.0, curves(curve(*[0.5] * 16), curve(*[0.7] * 16)))
    found = compare_plain(
        SPACE, "epochs_done", [plain, dataclasses.replace(plain, wall_s=40.0)], [run(first), run(second)]
    )
    (switch, _) = switch_epochs(random_configs(SPACE, SCENARIO))
    assert found == dataclasses.replace(
        plain_of("epochs_done", 32, (f"{SCENARIO.name}-1",)),
        best=0.7,
        wall_s=(30.0, 40.0),
        num_same=1,
        num_same_epochs=13 - switch,
        num_same_whole=0,
    )
    alike = compare_plain(SPACE, None, [plain], [run(plain.curves)])
    assert (alike.num_same, alike.num_same_whole, alike.different) == (2, 2, ())


@pytest.mark.parametrize(
    ("chains", "cores", "epochs"),
    [
        ([EpochChain(60, ((40, 20), (40, 20)))], 1, 100),  # all of them
        ([EpochChain(60, ((40, 20),))], 2, 60),  # the control is the longest chain
        ([EpochChain(60, ((48, 12), (36, 24)))], 2, 66),  # 36 alone, then 60 on two cores
        ([EpochChain(60, ((40, 20), (40, 20)))] * 2, 2, 100),  # both trunks at the same time: no core waits
        ([EpochChain(60, ((48, 12),)), EpochChain(60, ((36, 24),))], 2, 78),
        ([EpochChain(60, ((40, 20),) * 2)], 4, 60),
    ],
)
def test_critical_path_is_the_longest_chain_or_the_work_after_the_first_trunk(
    chains: list[EpochChain], cores: int, epochs: float
) -> None:
    assert critical_path(chains, cores) == epochs


def test_repeat_is_compared_with_the_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 + 8 epochs of half a second on two cores; the control is the longest chain."""
    monkeypatch.setattr("benchmarks.search_cost.case_results.CORES", 2)
    found = repeat_of(SPACE, run(curves(curve(*[0.5] * 16))), {SCENARIO.name: 0.5})
    assert (found.epochs, found.ideal_s, found.critical_s, found.to_ideal, found.to_critical) == (24, 6, 8, 2, 1.5)


@pytest.mark.parametrize(("metric", "best"), [("val_balanced_accuracy", 0.7), ("val_loss", 0.2)])
def test_best_value_is_over_trials_that_reached_the_last_epoch(metric: str, best: float) -> None:
    space: SearchSpace = make({"metric": metric, "num_trials": 3})
    long = [[values(0.6, loss=0.2)] * 16, [values(0.7, loss=0.3)] * 16]
    stopped = [values(0.9, loss=0.1)] * 15
    assert best_value(space, curves(*long, stopped)) == best
    two = {**curves(*long, stopped), **curves([values(best, loss=best)] * 16, scenario="other")}
    assert best_value(space, two) == pytest.approx(best)


def test_best_value_ignores_missing_values() -> None:
    space = make({"metric": "val_few_accuracy"})
    place = list(METRICS).index("val_few_accuracy")
    missing = [tuple(None if k == place else v for k, v in enumerate(values(0.9)))] * 16
    assert best_value(space, curves(missing, curve(*[0.25] * 16))) == 0.25


@pytest.mark.parametrize(("metric", "points"), [("val_balanced_accuracy", [5, -2]), ("val_loss", [-5, 2])])
def test_regret_is_the_loss_by_stopping_in_the_direction_of_the_metric(metric: str, points: list[float]) -> None:
    repeats = [dataclasses.replace(REPEAT, best=best) for best in (0.85, 0.92)]
    without, stopping = measured(OFF, metric=metric), measured(ON, *repeats, metric=metric)
    assert regret(stopping, [without, stopping]) == pytest.approx(points)


def test_regret_needs_the_same_search_without_stopping() -> None:
    fewer_trials = measured(dataclasses.replace(OFF, num_trials=8))
    assert regret(measured(ON), [measured(ON), fewer_trials]) == []
    assert regret(measured(OFF), [measured(OFF)]) == []


def test_case_is_exact_only_in_every_repeat() -> None:
    more = dataclasses.replace(REPEAT, epochs=201)
    assert measured(OFF, REPEAT, REPEAT, exact_epochs=200).is_exact
    assert not measured(OFF, REPEAT, more, exact_epochs=200).is_exact
    assert measured(ON, REPEAT, more).is_exact


def test_case_is_the_same_only_against_every_peer() -> None:
    same, other = plain_of("epochs_done"), plain_of("since_switch", different=("digits-1",))
    assert measured(plain=(same,)).is_same
    assert not measured(plain=(same, other)).is_same
