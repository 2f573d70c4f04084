"""The tables name the peer of every ratio."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from benchmarks.search_cost.cost_tables import epoch_table, replay_table, wall_table
from benchmarks.search_cost.replayed_costs import ReplayedCost, ReplayedPeer
from tests.support.case_results_made_up import OFF, ON, REPEAT, against, measured

BOTH = (against("epochs_done", 1600), against("since_switch", 1500))


def cells(table: Iterable[str]) -> list[dict[str, str]]:
    """Return a table's rows by column; of columns with the same name, the last."""
    head, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert {len(head)} == {len(rule), *map(len, rows)}
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_epoch_table_has_a_row_for_each_peer() -> None:
    with_stopping = measured(ON, plain=BOTH)
    rows = cells(epoch_table([with_stopping], [measured(OFF), with_stopping]))
    assert [(row["peer"], row["its epochs"], row["fewer"], row["regret"], row["same"]) for row in rows] == [
        ("ASHA by epochs done", "1600", "8.00", "0.00", "32 of 32"),
        ("ASHA by epochs since the latest switch", "1500", "7.50", "0.00", "32 of 32"),
    ]


def test_epoch_table_marks_inexact_and_missing_runs() -> None:
    exact, other = (measured(OFF, exact_epochs=epochs) for epochs in (200, 199))
    rows = cells(epoch_table([exact, other], []))
    assert [(row["peer"], row["its epochs"], row["exact"]) for row in rows] == [
        ("not run", "", "yes"),
        ("not run", "", "NO: 199"),
    ]


def test_wall_table_has_medians_and_ranges() -> None:
    repeats = [dataclasses.replace(REPEAT, wall_s=wall_s) for wall_s in (10.0, 11.0, 14.0)]
    (row,) = cells(wall_table([measured(OFF, *repeats, plain=(against(),))]))
    assert (row["peer"], row["its wall time"], row["ours"], row["faster"]) == (
        "no stopping",
        "50.0",
        "11.0 (10.0-14.0)",
        "4.5",
    )
    assert (row["ours / ideal"], row["besides"], row["slow trials"]) == (
        "1.10 (1.00-1.40)",
        "0.20 (0.20-0.20)",
        "1 (1-1)",
    )


def test_replay_table_has_a_row_for_each_peer() -> None:
    peers = (ReplayedPeer("epochs_done", 1800, 9.0, 0.5, 0.1), ReplayedPeer("since_switch", 1500, 7.5, 0.25, 0.2))
    rows = cells(replay_table([ReplayedCost("range", 32, True, 90, 200, 0.3, 0.2, (0.2, 0.4), peers)]))
    assert [tuple(row.values())[3:] for row in rows] == [
        ("ASHA by epochs done", "1800", "200", "9.00 ± 0.50", "0.30 ± 0.20", "0.20, 0.40", "0.10"),
        ("ASHA by epochs since the latest switch", "1500", "200", "7.50 ± 0.25", "0.30 ± 0.20", "0.20, 0.40", "0.20"),
    ]
