"""Targets, met and missed."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.search_cost.cost_targets import cost_verdicts
from benchmarks.search_cost.replayed_costs import ReplayedCost, ReplayedPeer
from tests.support.case_results_made_up import OFF, ON, REPEAT, against, measured

PEERS = (ReplayedPeer("epochs_done", 1800, 9.0, 0.5, 0.1), ReplayedPeer("since_switch", 1500, 7.9, 0.5, 0.1))
COUNTED = ReplayedCost("range", 32, True, 90, 200, 0.3, 0.2, (0.2, 0.4), PEERS)


def lines(*arguments: object) -> list[str]:
    return [str(verdict) for verdict in cost_verdicts(*arguments)]  # type: ignore[arg-type]


def test_epochs_are_judged_against_both_peers_by_name() -> None:
    both = (against("epochs_done", 1600), against("since_switch", 1598))
    found = lines([measured(ON, plain=both)], [])
    assert found[:2] == [
        f"met: {ON}: 8.00x fewer epochs than ASHA by epochs done, at least 8x",
        f"MISSED: {ON}: 7.99x fewer epochs than ASHA by epochs since the latest switch, at least 8x",
    ]
    assert str(ON) == "32 trials, switch range, stopping on"


def test_counted_epochs_and_regret_are_judged() -> None:
    kind = "32 trials, switch range, stopping on, 90 replays"
    assert lines([], [COUNTED]) == [
        f"met: {kind}: 9.00x fewer epochs than ASHA by epochs done, at least 8x",
        f"MISSED: {kind}: 7.90x fewer epochs than ASHA by epochs since the latest switch, at least 8x",
        f"met: {kind}: mean regret 0.30 points, at most 0.3",
    ]
    (*_, worse) = lines([], [dataclasses.replace(COUNTED, regret=0.31)])
    assert worse == f"MISSED: {kind}: mean regret 0.31 points, at most 0.3"


def test_largest_search_has_its_own_target() -> None:
    found = lines([], [dataclasses.replace(COUNTED, num_trials=128)])
    assert [line.split(":")[0] for line in found] == ["MISSED", "MISSED", "met"]
    assert all(line.endswith("at least 10x") for line in found[:2])


@pytest.mark.parametrize(
    "counted", [dataclasses.replace(COUNTED, num_trials=8), dataclasses.replace(COUNTED, is_stopping=False)]
)
def test_case_without_a_target_is_not_judged(counted: ReplayedCost) -> None:
    assert lines([], [counted]) == []


def test_epochs_without_stopping_must_be_exact() -> None:
    assert lines([measured(OFF, exact_epochs=200)], [])[0] == f"met: {OFF}: 200 epochs, exactly 200"
    assert lines([measured(OFF, exact_epochs=199)], [])[0] == f"MISSED: {OFF}: 200 epochs, exactly 199"


def test_missed_wall_time_names_its_parts() -> None:
    assert lines([measured(OFF, exact_epochs=200)], [])[1] == f"met: {OFF}: 1.10 times the ideal wall time, at most 1.3"
    slow = dataclasses.replace(REPEAT, wall_s=20.0, start_s=4.0, worker_s=2.0, end_s=1.0)
    assert lines([measured(ON, slow)], []) == [
        f"MISSED: {ON}: 2.00 times the ideal wall time, at most 1.3: 10.0 s more: 4.0 start of process and Ray, "
        "2.0 the first run besides its epochs, 1.0 end, 0.5 a core waits for the trunk, "
        "0.2 epochs slower than in the bare loop, 2.2 trials besides their epochs and waiting"
    ]


def test_plain_search_on_real_images_must_take_five_times_as_long() -> None:
    real = dataclasses.replace(ON, switch="fashion")
    ideal, faster = lines([measured(real, plain=(against("since_switch"),))], [])
    assert "times the ideal wall time" in ideal, "no target of epochs"
    peer = "ASHA by epochs since the latest switch"
    assert faster == f"MISSED: {real}: 4.55x as fast as {peer}, at least 5x"
    assert lines([measured(real, dataclasses.replace(REPEAT, wall_s=10.0), plain=(against("since_switch"),))], [])[
        -1
    ].startswith("met")


def test_wall_time_is_judged_by_the_median_repeat() -> None:
    repeats = [dataclasses.replace(REPEAT, wall_s=wall_s) for wall_s in (10.0, 11.5, 30.0)]
    assert lines([measured(ON, *repeats)], []) == [f"met: {ON}: 1.15 times the ideal wall time, at most 1.3"]
