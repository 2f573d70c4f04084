"""What came of a kind of fault."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How many faults of a kind were injected, and how many survived: the search ended as if there had been none."""

    fault: str
    injected: int
    survived: int
    note: str = ""

    def __str__(self) -> str:
        return f"| {self.fault} | {self.injected} | {self.survived} | {self.note} |"


HEAD = "| fault | injected | survived | |\n|---|---:|---:|---|"


def not_injected(fault: str, reason: str) -> Outcome:
    """A fault that cannot be injected here, and why."""
    return Outcome(fault, 0, 0, f"not injected: {reason}")
