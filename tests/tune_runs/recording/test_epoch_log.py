"""Epochs in memory: packed rows equal the rows they were made from."""

from __future__ import annotations

import pyarrow as pa
import pytest

from absgd import records
from tests.support.fake_trainer import epoch_record
from tune_runs.recording.epoch_log import EpochLog, EpochRow, is_same_epoch


def row(trial_id: str, epoch: int) -> EpochRow:
    keys = {"run": "r", "scenario": "s", "trial_id": trial_id, records.INHERITED: False}
    return {**vars(epoch_record(epoch, 0.1 * epoch)), **keys}


def filled(order: str) -> EpochLog:
    log = EpochLog()
    log.by_trial = {name: [] for name in "ab"}
    for name in order:
        log.keep(row(name, len(log.by_trial[name])))
    return log


def test_packed_rows_are_those_that_were_kept() -> None:
    log, other = filled("aabaab"), filled("aabaab")
    log.pack("a")
    packed, rows = log.by_trial["a"], other.by_trial["a"]
    assert len(packed) == 4
    for place in (0, 3, -1, -4):
        assert is_same_epoch(rows[place], packed[place])
    assert [one["epoch"] for one in packed] == [one["epoch"] for one in packed[:]] == [0, 1, 2, 3]
    assert [one["epoch"] for one in packed[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        packed[4]


def test_column_of_the_last_epoch_is_that_of_the_rows_packed_or_not() -> None:
    log = filled("aab")
    log.by_trial["c"] = []
    last = {name: log.last(name, "val_loss") for name in "abc"}
    assert last == {"a": row("a", 1)["val_loss"], "b": row("b", 0)["val_loss"], "c": None}
    for name in "abc":
        log.pack(name)
    assert {name: log.last(name, "val_loss") for name in "abc"} == last


def test_epochs_after_packed_ones_are_kept() -> None:
    log = filled("aab")
    log.pack("a")
    log.keep(row("a", 2))
    assert [one["epoch"] for one in log.by_trial["a"]] == [0, 1, 2]
    log.pack("a")
    log.forget_from("a", 1)
    log.keep(row("a", 1))
    log.take_arrived()
    assert log.table().select(["trial_id", "epoch"]).to_pylist() == [
        {"trial_id": "a", "epoch": 0},
        {"trial_id": "b", "epoch": 0},
        {"trial_id": "a", "epoch": 1},
    ]


def test_load_drops_epochs_that_do_not_follow_and_trials_that_are_unknown() -> None:
    table = records.as_table(
        records.EPOCH_SCHEMA, [row("b", 0), row("a", 0), row("a", 2), row("a", 0), row("x", 0), row("a", 1)]
    )
    log = EpochLog()
    log.by_trial = {name: [] for name in "ab"}
    log.load(table)
    log.load(pa.table(table))
    assert [one["epoch"] for one in log.by_trial["a"]] == [0, 1, 2]
    assert [(one["trial_id"], one["epoch"]) for one in log.arrivals(["trial_id", "epoch"])] == [
        ("b", 0),
        ("a", 0),
        ("a", 1),
        ("a", 2),
    ]
