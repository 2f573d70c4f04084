"""The outcome of one kind of fault."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class FaultOutcome:
    """Number of faults of a kind that were injected, and of those after which the search ended as if undisturbed."""

    fault: str
    injected: int
    survived: int
    note: str = ""

    def __str__(self) -> str:
        return f"| {self.fault} | {self.injected} | {self.survived} | {self.note} |"


HEAD = "| fault | injected | survived | |\n|---|---:|---:|---|"


def not_injected(fault: str, reason: str) -> FaultOutcome:
    """Return the outcome of a fault that cannot be injected here, with the reason."""
    return FaultOutcome(fault, 0, 0, f"not injected: {reason}")
