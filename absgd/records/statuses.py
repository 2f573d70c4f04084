"""The statuses and phases of trials."""

from __future__ import annotations

import re
from typing import Literal, get_args

Status = Literal["running", "completed", "pruned", "diverged", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = get_args(Status)
FINISHED: tuple[Status, ...] = ("completed", "pruned", "diverged", "failed")
"""Statuses of trials that a resumed search does not continue."""

Phase = Literal["search", "replicate", "confirm", "control", "single"]
"""`replicate`: trial of a search on a further seed pair; `control`: plain run of a search; `confirm`: run on fresh
seeds; `single`: run of `absgd-train`."""
PHASES: tuple[Phase, ...] = get_args(Phase)

_FRESH_PAIR = re.compile(r"-seed(\d+)$")


def earlier_pair(phase: str, trial_id: str) -> int | None:
    """Return the seed pair of a run of a version that did not record it: all of its searches had one, pair 0.

    >>> earlier_pair("search", "digits-0001"), earlier_pair("confirm", "digits-0001-seed3")
    (0, 3)

    Args:
        phase: phase of the run.
        trial_id: its id; that of a run on fresh seeds ends in the number of its pair.
    """
    if phase in ("search", "control"):
        return 0
    found = _FRESH_PAIR.search(trial_id) if phase == "confirm" else None
    return int(found[1]) if found else None
