"""Verdicts on the targets of a benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class TargetVerdict(NamedTuple):
    """A target compared with the measurement."""

    is_met: bool | None
    """Whether the target is met; None: not measured, since the target is for other hardware."""
    sentence: str
    reason: str = ""
    """Why the target is missed, where that is known."""

    def __str__(self) -> str:
        """Format the verdict for people.

        >>> print(TargetVerdict(False, "at least 4 times", "the disk was full"))
        MISSED: at least 4 times: the disk was full
        """
        word = "not measured" if self.is_met is None else "met" if self.is_met else "MISSED"
        ending = f": {self.reason}" if self.is_met is False and self.reason else ""
        return f"{word}: {self.sentence}{ending}"


def exit_status(verdicts: Iterable[TargetVerdict]) -> int:
    """Return 1 where a target is missed, else 0.

    >>> exit_status([TargetVerdict(True, "fast"), TargetVerdict(None, "faster")])
    0
    """
    return int(any(verdict.is_met is False for verdict in verdicts))
