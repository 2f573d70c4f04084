"""Attributes of Ray, replaced for a block, where it has no option for what a search needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, **values: Any) -> Iterator[None]:
    """Give attributes of a module or class other values in the block.

    Args:
        owner: the module or class.
        values: attribute -> its value in the block.

    Raises:
        AttributeError: if it has no such attribute, as in another version of Ray.
    """
    earlier = {name: getattr(owner, name) for name in values}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in earlier.items():
            setattr(owner, name, value)
