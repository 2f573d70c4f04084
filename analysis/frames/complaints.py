"""Complaints about damaged parts of run folders: who takes them, and how an error is quoted in one."""

from __future__ import annotations

from collections.abc import Callable

Complain = Callable[[str], None]
"""Takes a sentence about something that is damaged or missing."""


def reason_of(error: Exception) -> str:
    """Return the first line of an error's message; the name of its type where it has none.

    >>> reason_of(ValueError("two\\nlines")), reason_of(KeyError())
    ('two', 'KeyError')
    """
    return next(iter(str(error).splitlines()), type(error).__name__)
