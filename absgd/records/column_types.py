"""The type of a table's column, from the annotation of the field that fills it."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa

_SCALARS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def column_type(annotation: Any) -> pa.DataType:
    """Return the Arrow type of a field's values, which may be null; text where the values have several types.

    >>> str(column_type(tuple[float | None, ...])), str(column_type(int | Literal["switch"]))
    ('list<item: double>', 'string')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return column_type(arguments[0])
    if origin is Literal:
        return pa.string()
    if origin is tuple:
        return pa.list_(column_type(arguments[0]))
    if origin in (Union, UnionType):
        kinds = {column_type(argument) for argument in arguments if argument is not NoneType}
        return kinds.pop() if len(kinds) == 1 else pa.string()
    return _SCALARS[annotation]
