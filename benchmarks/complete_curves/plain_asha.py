"""The plain search with which `absgd-tune` is compared: Ray's own ASHA under one of two clocks.

Before the latest switch some trials are still the plain control, so under either clock the first rung is one epoch
after it; factor 3.

- `epochs_done`: ASHA's default clock. The next rung is three times as far, so behind the end where trials switch after
  a third of the epochs: one rung in all.
- `since_switch`: epochs since the latest switch, a clock that the script has to report itself; rungs 1, 3, 9, ...
  epochs after it. The stronger peer.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from tune_runs.space.model import SearchSpace
from tune_runs.stopping.rungs import early_stopping

AshaClock = Literal["epochs_done", "since_switch"]
ASHA_CLOCKS: tuple[AshaClock, ...] = get_args(AshaClock)
FACTOR = 3
_NAMES: dict[AshaClock | None, str] = {
    None: "no stopping",
    "epochs_done": "ASHA by epochs done",
    "since_switch": "ASHA by epochs since the latest switch",
}


@dataclasses.dataclass(frozen=True)
class AshaSettings:
    """Arguments of the scheduler, in time of its clock."""

    starts_at: int
    """Epoch from which the clock counts."""
    grace_period: int
    max_t: int
    reduction_factor: int = FACTOR


def asha_settings(space: SearchSpace, clock: AshaClock) -> AshaSettings:
    """Return the scheduler's arguments for the plain search of a space whose trials all have a stage two."""
    latest = early_stopping(space).latest_switch
    assert latest is not None, "these spaces have a stage two"
    starts_at = 0 if clock == "epochs_done" else latest
    return AshaSettings(starts_at, grace_period=latest + 1 - starts_at, max_t=space.epochs - starts_at)


def plain_search_name(clock: AshaClock | None) -> str:
    """Name a plain search for people; None stands for no stopping.

    >>> plain_search_name("epochs_done"), plain_search_name(None)
    ('ASHA by epochs done', 'no stopping')
    """
    return _NAMES[clock]
