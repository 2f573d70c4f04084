"""Records of epochs as columns: a snapshot holds a tensor for each, where rows would be an object for each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of rows with equal keys.

    Args:
        rows: E rows; values are numbers, text, None, or tuples of C numbers and None.

    Returns:
        Key -> float64 tensor of shape [E] or [E, C] with NaN for None; a list where values are neither.
    """
    return {key: _packed([row[key] for row in rows]) for key in (rows[0] if rows else ())}


def with_row(columns: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with one row more: `columns_of` all rows, in a time that hardly grows with their number."""
    if not columns:
        return columns_of([row])
    return {key: _extended(columns[key], row[key]) for key in columns}


def rows_of(columns: Mapping[str, Any], num_rows: int) -> list[dict[str, Any]]:
    """Return the rows that `columns_of` was given.

    Raises:
        ValueError: if a column has another number of values.
    """
    values = {key: _unpacked(column) for key, column in columns.items()}
    if any(len(column) != num_rows for column in values.values()):
        raise ValueError(f"expected {num_rows} values in each column")
    return [{key: column[place] for key, column in values.items()} for place in range(num_rows)]


def _packed(values: list[Any]) -> Tensor | list[Any]:
    if all(map(_is_number, values)):
        return _as_tensor(values)
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
    if column.dim() == 1:
        return [None if math.isnan(value) else value for value in column.tolist()]
    return [tuple(None if math.isnan(value) else value for value in row) for row in column.tolist()]
