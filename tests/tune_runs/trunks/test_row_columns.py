"""Rows as columns and back: equal values of equal types."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_trainer import epoch_record
from tune_runs.trunks.row_columns import are_columns, columns_of, rows_of, with_row

number = st.one_of(st.none(), st.floats(allow_nan=True))
value = st.one_of(number, st.integers(-9, 9), st.text(max_size=3), st.lists(number, max_size=3).map(tuple))


def test_rows_of_epochs_come_back_as_they_were() -> None:
    rows = [{**dataclasses.asdict(epoch_record(epoch, 0.1 * epoch)), "origin": "a"} for epoch in range(5)]
    columns = columns_of(rows)
    assert columns["others"]["val_recall"].shape == (5, 10)
    assert columns["numbers"].shape == (5, len(columns["number_keys"]))
    assert {"val_loss", "val_accuracy", "log_u"} <= set(columns["number_keys"])
    assert rows_of(columns, 5) == rows
    assert list(rows_of(columns, 5)[0]) == list(rows[0])


@settings(max_examples=200, deadline=None)
@given(columns=st.dictionaries(st.text(max_size=2), st.lists(value, min_size=3, max_size=3), max_size=4))
def test_any_values_come_back_as_they_were(columns: dict[str, list[object]]) -> None:
    rows = [{key: values[place] for key, values in columns.items()} for place in range(3)]
    appended: dict[str, object] = {}
    for row in rows:
        appended = with_row(appended, row)
    for found in (columns_of(rows), appended):
        assert [repr(row) for row in rows_of(found, 3)] == [repr(row) for row in rows]


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 3 values"):
        rows_of(columns_of([{"a": 0.5}, {"a": 0.25}]), 3)


@pytest.mark.parametrize(
    "damage",
    [
        {"keys": ["a"]},
        {"number_keys": 3},
        {"number_keys": [["a"]]},
        {"others": {"b": 3}},
        {"numbers": [0.5]},
        {"numbers": torch.zeros(2, 2)},
        {"others": None},
        {"others": {"b": ["x"]}},
        {"others": {"b": torch.zeros(())}},
    ],
)
def test_what_is_no_columns_is_refused(damage: dict[str, object]) -> None:
    columns = columns_of([{"a": 0.5, "b": "x"}, {"a": 0.25, "b": "y"}])
    assert are_columns(columns, 2)
    assert not are_columns({**columns, **damage}, 2)
    assert not are_columns({}, 2)


def test_a_snapshot_of_many_classes_is_little_larger_than_its_numbers() -> None:
    recalls = tuple(0.5 for _ in range(1000))
    rows = [{"epoch": epoch, "val_recall": recalls, "mean": math.pi} for epoch in range(50)]
    buffer = io.BytesIO()
    torch.save(columns_of(rows), buffer)
    assert len(buffer.getvalue()) < 8 * 50 * 1002 + 5000
