"""Searches counted by replay, compared with numbers worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.complete_curves.plain_asha import ASHA_CLOCKS
from benchmarks.search_cost.replayed_costs import ReplayedOrder, ReplayedPeer, replay_kind, replay_order
from tests.support.small_curves import cell_of, curve, three

APPROXIMATELY_9 = pytest.approx(9.0)


@pytest.mark.parametrize("metric", ["val_balanced_accuracy", "val_loss"])
def test_search_is_replayed_with_both_peers(metric: str) -> None:
    """Replay the steady, the late and the early trial of tests.support.small_curves.

    Ours, two at a time, by the default rule: rungs at age 2 and after 14 epochs. The late one stops at age 2, behind
    the steady one. The early one reaches 14 epochs first, and both continue: 16 + 8 + 2 + 4 epochs. ASHA stops the late
    one after 13 epochs; the clock since the latest switch the early one after 15, too. All keep the steady trial at
    0.9, where the late one ends at 0.99.
    """
    order = three() if metric != "val_loss" else three(lambda value: 1 - value)
    found = replay_order(cell_of(*order, metric=metric), order, ASHA_CLOCKS)
    peers = ((16 + 13 + 16, APPROXIMATELY_9), (16 + 13 + 15, APPROXIMATELY_9))
    assert found == ReplayedOrder(0, 16 + 8 + 2 + 4, APPROXIMATELY_9, peers)


def test_nothing_is_stopped_on_either_side_without_a_clock() -> None:
    order = three()
    assert replay_order(cell_of(*order), order, (None,)) == ReplayedOrder(0, 16 + 8 + 8 + 4, 0.0, ((3 * 16, 0.0),))


def test_diverged_trial_is_neither_kept_nor_the_best() -> None:
    order = (curve(0, 8, 0.8), curve(1, 8, 0.95, end=11))
    assert replay_order(cell_of(*order), order, (None,)) == ReplayedOrder(0, 16 + 8 + 3, 0.0, ((16 + 11, 0.0),))


def test_counts_are_means_and_spreads_over_orders_and_seeds() -> None:
    """A search of one trial takes 16 + 8 epochs on one seed, 16 + 4 on the other; the peers take 16."""
    cells = [cell_of(curve(0, 8, 0.9), seed=0), cell_of(curve(0, 12, 0.9), seed=1)]
    found = replay_kind(cells, num_trials=1, orders=2, is_stopping=True)
    assert (found.switch, found.num_trials, found.is_stopping, found.searches) == ("mine", 1, True, 4)
    assert (found.epochs, found.regret, found.regret_std, found.regret_by_seed) == (22, 0, 0, (0, 0))
    fewer = pytest.approx((2 / 3 + 4 / 5) / 2)
    spread = pytest.approx((4 / 5 - 2 / 3) / 3**0.5)  # of two and two values
    assert found.peers == tuple(ReplayedPeer(clock, 16, fewer, spread, 0) for clock in ASHA_CLOCKS)


def test_regret_is_reported_for_each_seed() -> None:
    """On the first seed the best trial is stopped in any order of arrival, on the second none is lost."""
    order = three()
    cells = [cell_of(*order, seed=0), cell_of(*order[:1], order[2], curve(3, 8, 0.6), seed=1)]
    found = replay_kind(cells, num_trials=3, orders=4, is_stopping=True)
    assert found.regret_by_seed[0] > 0 == found.regret_by_seed[1]
    assert found.regret == pytest.approx(sum(found.regret_by_seed) / 2)


def test_count_without_stopping_has_one_peer_and_no_regret() -> None:
    found = replay_kind([cell_of(*three())], num_trials=3, orders=2, is_stopping=False)
    assert (found.epochs, found.regret, found.peers) == (36, 0, (ReplayedPeer(None, 48, 48 / 36, 0, 0),))


def test_more_trials_than_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="larger than population"):
        replay_kind([cell_of(*three())], num_trials=4, orders=2, is_stopping=False)
