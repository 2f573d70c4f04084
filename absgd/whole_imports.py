"""Imports: of modules that make hundreds of thousands of objects, an eighth faster; and without an optional module."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


def import_whole(name: str) -> None:
    """Import a module while Python does not look for garbage.

    What torch makes as it is imported stays, and looking for garbage among it takes an eighth of the time.

    Args:
        name: dotted name of the module.

    Raises:
        ImportError: if it cannot be imported; whatever else its code raises.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import_module(name)
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def as_if_not_installed(name: str) -> Iterator[None]:
    """Let imports of a module fail in the block, in this thread alone; for an optional one that takes long to import.

    A module that is imported already stays.

    >>> with as_if_not_installed("this"):
    ...     import this
    Traceback (most recent call last):
        ...
    ModuleNotFoundError: No module named 'this'
    """
    finder = _Refusing(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Refusing:
    """A finder of modules that refuses one in the thread that made it."""

    def __init__(self, name: str) -> None:
        self._name, self._thread = name, threading.get_ident()

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == self._name and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
