"""Names and values of a plain Ray Tune script, mapped to our columns."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa

from absgd import records

ALIASES = {
    "lambda": "lam",
    "lamda": "lam",
    "mylambda": "lam",
    "drogamma": "gamma",
    "abgamma": "gamma",
    "abalpha": "ab_alpha",
    "imb_type": "imbalance_type",
    "imb_factor": "imbalance_ratio",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "learning_rate": "lr",
    "wd": "weight_decay",
    "loss_type": "loss",
    "lamda_shots": "switch_epoch",
    "seed": "seed_train",
    "accuracy": "val_accuracy",
    "mean_accuracy": "val_accuracy",
    "val_acc": "val_accuracy",
    "val_balanced_acc": "val_balanced_accuracy",
    "balanced_accuracy": "val_balanced_accuracy",
    "mean_loss": "val_loss",
}
"""Common spellings, in lower case -> our columns; our own names need no alias."""

MAX_LEVELS = 16
"""Nested mappings whose names are joined; what is deeper is not a metric."""
ColumnValues = dict[str, Any]
"""Our columns -> values of their types."""

EPOCH_TYPES: dict[str, pa.DataType] = {field.name: field.type for field in records.EPOCH_SCHEMA}
SETTING_TYPES: dict[str, pa.DataType] = {column: kind for column, (_, kind) in records.CONFIG_COLUMNS.items()}
FRACTION_COLUMNS = (*(metric for metric in records.METRICS if records.is_fraction(metric)), "val_recall")
"""Epoch columns that hold fractions, which scripts may report in percent."""

_END_OF_INT64 = 2**63
_LARGEST_FLOAT = int(sys.float_info.max)


class ColumnSources(NamedTuple):
    """The names of a script that fill our columns, and those that could have."""

    columns: dict[str, str]
    """The script's name -> our column."""
    rivals: tuple[tuple[str, str, str], ...]
    """Our column, the name it is read from, and another name that could mean it."""


def column_sources(
    there: Iterable[str], told: Mapping[str, str], columns: Mapping[str, pa.DataType], by_last_word: bool = False
) -> ColumnSources:
    """Return the columns that the names of a script fill.

    If several names could mean a column, it is read from the one that the user told, else the one that is spelt as the
    column, else that with ``/`` for ``_``, else the first one with a known other spelling: `val_accuracy` is never read
    from `accuracy`, which may be that of training, where there is a `val_accuracy`.

    >>> column_sources(["accuracy", "val/acc"], {}, EPOCH_TYPES).columns
    {'accuracy': 'val_accuracy'}
    >>> column_sources(["accuracy", "val/accuracy"], {}, EPOCH_TYPES).columns
    {'val/accuracy': 'val_accuracy'}

    Args:
        there: the names of parameters or metrics; those of nested ones are joined by ``/``.
        told: the user's own mapping.
        columns: the columns to choose from.
        by_last_word: whether the last part of a nested name is tried as well.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name in there:
        spellings = [told.get(name), *_spellings(name)]
        spellings += _spellings(name.rpartition("/")[2]) if by_last_word else []
        rank, ours = next(((rank, one) for rank, one in enumerate(spellings) if one in columns), (0, None))
        if ours is not None:
            found.setdefault(ours, []).append((rank, name))
    used = {ours: min(names, key=lambda one: one[0])[1] for ours, names in found.items()}
    rivals = [(ours, used[ours], name) for ours, names in found.items() for _, name in names if name != used[ours]]
    return ColumnSources({name: ours for ours, name in used.items()}, tuple(rivals))


_VALIDATION = re.compile("^(eval|valid|validation|dev)_")


def _spellings(name: str) -> list[str | None]:
    plain = _VALIDATION.sub("val_", name.lower().replace("/", "_"))
    setting = records.COLUMN_OF.get(name.replace("/", "."))
    return [name, setting, plain, ALIASES.get(plain), ALIASES.get(plain.replace("_", ""))]


@cache
def converter(kind: pa.DataType) -> Callable[[Any], Any]:
    """Return the function that turns a JSON value into one that a column takes, or None where it cannot."""
    if pa.types.is_list(kind):
        inner = converter(kind.value_type)
        return lambda value: [inner(item) for item in value] if isinstance(value, list) else None
    return {pa.string(): _text, pa.bool_(): _truth, pa.int64(): whole_number}.get(kind, real_number)


def real_number(value: object) -> float | None:
    """Return a finite number as a float; None for anything else."""
    if type(value) is int:  # not bool
        return float(value) if abs(value) <= _LARGEST_FLOAT else None
    return value if type(value) is float and math.isfinite(value) else None


def whole_number(value: object) -> int | None:
    """Return a whole number of 64 bits as an int; None for anything else."""
    whole = int(value) if type(value) is float and value.is_integer() else value
    return whole if type(whole) is int and abs(whole) < _END_OF_INT64 else None


def is_too_large(value: object) -> bool:
    """Whether a value is infinite, or a whole number of more than 64 bits; NaN counts as missing."""
    return (type(value) is int and abs(value) >= _END_OF_INT64) or (type(value) is float and math.isinf(value))


def is_not_finite(value: object) -> bool:
    """Whether a value is NaN or infinite; Ray writes a NaN of numpy's float32 as the text ``null``."""
    if isinstance(value, str):
        return value.lower() in ("null", "nan")
    return type(value) is float and not math.isfinite(value)


def flat(data: Mapping[str, Any], above: str = "", levels: int = MAX_LEVELS) -> Iterator[tuple[str, Any]]:
    """Yield names and values of nested mappings, the names joined by ``/``, as Ray joins them.

    A mapping below `levels` others stays whole.

    >>> dict(flat({"val": {"acc": 0.9}}))
    {'val/acc': 0.9}
    """
    for name, value in data.items():
        if isinstance(value, Mapping) and levels:
            yield from flat(value, f"{above}{name}/", levels - 1)
        else:
            yield f"{above}{name}", value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
