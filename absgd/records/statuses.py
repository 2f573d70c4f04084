"""The statuses and phases of trials."""

from __future__ import annotations

from typing import Literal, get_args

Status = Literal["running", "completed", "pruned", "diverged", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = get_args(Status)
FINISHED: tuple[Status, ...] = ("completed", "pruned", "diverged", "failed")
"""Statuses of trials that a resumed search does not continue."""

Phase = Literal["search", "replicate", "confirm", "control", "tuning", "single"]
"""`replicate`: trial of a search on a further seed pair; `control`: plain run of a search; `tuning`: run of the search
over a control's own settings; `confirm`: run on fresh seeds; `single`: run of `absgd-train`."""
PHASES: tuple[Phase, ...] = get_args(Phase)
