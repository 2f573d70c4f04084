"""Searches over complete curves, counted by hand."""

from __future__ import annotations

import pytest

from benchmarks.complete_curves.plain_asha import AshaClock, AshaSettings, asha_settings
from benchmarks.complete_curves.search_replay import kept_trial, replay_ours, replay_plain
from tests.support.small_curves import cell_of, curve, stopping_of, three
from tests.support.spaces import make
from tune_runs.stopping.rungs import early_stopping

CONTROL = 16


def test_epochs_are_counted_from_the_switch_and_the_order_decides() -> None:
    good, poor = curve(0, 8, 0.9), curve(1, 12, 0.6)
    cell = cell_of(good, poor)
    stopping = stopping_of(cell, "advantage")
    one_at_a_time = replay_ours(cell, [good, poor], 1, stopping)
    assert (one_at_a_time.epochs, one_at_a_time.completed) == (CONTROL + 8 + 1, (good,))
    poor_first = replay_ours(cell, [poor, good], 1, stopping)
    assert (poor_first.epochs, poor_first.completed) == (CONTROL + 4 + 8, (poor, good))
    none = replay_ours(cell, [good, poor], 2, early_stopping(make({"early_stopping": None})))
    assert (none.epochs, set(map(id, none.completed))) == (CONTROL + 8 + 4, {id(good), id(poor)})


def test_trials_at_once_take_turns() -> None:
    """The poor trial reaches its first rung after the good one; the third starts once it is stopped."""
    good, poor, better = curve(0, 8, 0.9), curve(1, 12, 0.6), curve(2, 12, 0.95)
    cell = cell_of(good, poor, better)
    search = replay_ours(cell, [good, poor, better], 2, stopping_of(cell, "advantage"))
    assert (search.epochs, [one.number for one in search.completed]) == (CONTROL + 8 + 1 + 4, [2, 0])


@pytest.mark.parametrize(
    ("clock", "epochs", "completed"),
    [
        ("epochs_done", (16, 13, 16), [0, 2]),  # the third is the best after 13 epochs
        ("since_switch", (16, 13, 15), [0]),  # and behind after 15
        (None, (16, 16, 16), [0, 1, 2]),
    ],
)
def test_plain_search_trains_from_the_first_epoch_to_the_rungs_of_its_clock(
    clock: AshaClock | None, epochs: tuple[int, ...], completed: list[int]
) -> None:
    order = three()
    search = replay_plain(cell_of(*order), order, 1, clock)
    assert (search.epochs, [one.number for one in search.completed]) == (sum(epochs), completed)


def test_peers_have_their_first_rung_one_epoch_after_the_latest_switch() -> None:
    space = make()
    assert asha_settings(space, "epochs_done") == AshaSettings(
        starts_at=0, grace_period=13, max_t=16, reduction_factor=3
    )
    assert asha_settings(space, "since_switch") == AshaSettings(
        starts_at=12, grace_period=1, max_t=4, reduction_factor=3
    )


def test_peer_of_a_space_without_stage_two_is_refused() -> None:
    space = make({"base/loss": {"name": "ce"}, "search": {"optimizer.lr": {"low": 0.01, "high": 0.1}}})
    with pytest.raises(AssertionError, match="stage two"):
        asha_settings(space, "epochs_done")


def test_diverged_trials_count_their_epochs_and_do_not_complete() -> None:
    good, diverged = curve(0, 8, 0.9), curve(1, 8, 0.95, end=11)
    cell = cell_of(good, diverged)
    ours = replay_ours(cell, [diverged, good], 1, early_stopping(make({"early_stopping": None})))
    assert (ours.epochs, ours.completed) == (CONTROL + 3 + 8, (good,))
    plain = replay_plain(cell, [diverged, good], 1, None)
    assert (plain.epochs, plain.completed) == (11 + 16, (good,))


def test_kept_is_the_best_at_the_last_epoch_and_the_lower_loss_of_equals() -> None:
    first, peaked, second = curve(0, 8, 0.8, val_loss=1.0), curve(1, 8, 0.99, 0.7), curve(2, 9, 0.8, val_loss=0.5)
    assert kept_trial(cell_of(first, peaked, second), [first, peaked, second]) is second
    assert kept_trial(cell_of(first, peaked, metric="val_loss"), [first, peaked]) is peaked
