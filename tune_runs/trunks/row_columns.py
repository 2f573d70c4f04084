"""Records of epochs as columns: a snapshot holds a few tensors, where rows would be an object for each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of rows with equal keys.

    Args:
        rows: E rows; values are numbers, text, None, or tuples of C numbers and None.

    Returns:
        `keys` (list, in the order of the rows), `number_keys` (list of K keys, whose values are all numbers or None),
        `numbers` (their values, float64 tensor of shape [E, K] with NaN for None), `others` (each other key -> float64
        tensor of shape [E, C], likewise, or a list of E values).
    """
    values = {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}
    number_keys = [key for key, column in values.items() if all(map(_is_number, column))]
    numbers = _as_tensor([row[key] for row in rows for key in number_keys]).reshape(len(rows), len(number_keys))
    others = {key: _packed(column) for key, column in values.items() if key not in number_keys}
    return {"keys": list(values), "number_keys": number_keys, "numbers": numbers, "others": others}


def with_row(columns: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with one row more: `columns_of` all rows, in a time that hardly grows with their number."""
    numbers = [row[key] for key in columns["number_keys"]] if columns else []
    if not numbers or not all(map(_is_number, numbers)):
        return columns_of([*_rows_of(columns), row])
    added = _as_tensor(numbers).reshape(1, -1)
    others = {key: _extended(column, row[key]) for key, column in columns["others"].items()}
    return {**columns, "numbers": torch.cat([columns["numbers"], added]), "others": others}


def rows_of(columns: Mapping[str, Any], num_rows: int) -> list[dict[str, Any]]:
    """Return the rows that `columns_of` was given.

    Raises:
        ValueError: if these are no columns, or have another number of rows.
    """
    if not are_columns(columns, num_rows):
        raise ValueError(f"expected {num_rows} values in each column")
    return _rows_of(columns)


def are_columns(found: Mapping[str, Any], num_rows: int) -> bool:
    """Whether a mapping from a file has the form that `columns_of` returns, with a number of rows."""
    keys, number_keys, numbers, others = map(found.get, ("keys", "number_keys", "numbers", "others"))
    if not (isinstance(numbers, Tensor) and isinstance(others, Mapping)):
        return False
    if not (_are_names(keys) and _are_names(number_keys) and set(keys) == {*number_keys, *others}):
        return False
    return numbers.shape == (num_rows, len(number_keys)) and all(
        column.shape[:1] == (num_rows,) and column.dim() == 2
        if isinstance(column, Tensor)
        else isinstance(column, list) and len(column) == num_rows
        for column in others.values()
    )


def _are_names(found: object) -> TypeGuard[list[str]]:
    return isinstance(found, list) and all(isinstance(name, str) for name in found)


def _rows_of(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not columns:
        return []
    values = {key: _unpacked(column) for key, column in columns["others"].items()}
    numbers = [dict(zip(columns["number_keys"], row, strict=True)) for row in _unpacked(columns["numbers"])]
    found = [{**row, **{key: values[key][place] for key in values}} for place, row in enumerate(numbers)]
    return [{key: row[key] for key in columns["keys"]} for row in found]


def _packed(values: list[Any]) -> Tensor | list[Any]:
    lengths = {len(value) if isinstance(value, tuple) else -1 for value in values}
    if len(lengths) == 1 and lengths != {-1} and all(_is_number(one) for value in values for one in value):
        return _as_tensor([one for value in values for one in value]).reshape(len(values), -1)
    return values


def _extended(column: Tensor | list[Any], value: Any) -> Tensor | list[Any]:
    if not isinstance(column, Tensor):
        return [*column, value]
    added = _packed([value])
    if isinstance(added, Tensor) and added.shape[1:] == column.shape[1:]:
        return torch.cat([column, added])
    return [*_unpacked(column), value]


def _is_number(value: object) -> bool:
    """Whether a value comes back from a tensor as it was: integers stay a list, and NaN stands for None."""
    return value is None or (type(value) is float and not math.isnan(value))


def _as_tensor(values: list[float | None]) -> Tensor:
    return torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float64)


def _unpacked(column: Tensor | list[Any]) -> list[Any]:
    if not isinstance(column, Tensor):
        return column
    return [tuple(None if math.isnan(value) else value for value in row) for row in column.tolist()]
