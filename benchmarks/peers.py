"""The plain search that `absgd-tune` is held against: Ray's own ASHA as one writes it by hand, under one of two clocks.

Before the latest switch some trials are still the plain control, so under either clock the first rung lies one epoch
after it; factor 3.

- `epochs_done`: the clock of ASHA unless told otherwise. The next rung, three times as far, lies behind the end where
  trials switch after a third of the epochs: one rung in all.
- `since_switch`: epochs since the latest switch, a clock that the script reports itself; rungs 1, 3, 9, ... epochs
  after it. The stronger peer.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from tune_runs.space.model import SearchSpace
from tune_runs.stopping.rungs import early_stopping

Clock = Literal["epochs_done", "since_switch"]
CLOCKS: tuple[Clock, ...] = get_args(Clock)
FACTOR = 3
_NAMES: dict[Clock | None, str] = {
    None: "no stopping",
    "epochs_done": "ASHA by epochs done",
    "since_switch": "ASHA by epochs since the latest switch",
}


@dataclasses.dataclass(frozen=True)
class Asha:
    """What the scheduler is told, in time of its clock."""

    starts_at: int
    """The epoch from which its clock counts."""
    grace_period: int
    max_t: int
    reduction_factor: int = FACTOR


def asha(space: SearchSpace, clock: Clock) -> Asha:
    """The scheduler of the plain search on a space all of whose trials have a stage two."""
    latest = early_stopping(space).latest_switch
    assert latest is not None, "these spaces have a stage two"
    starts_at = 0 if clock == "epochs_done" else latest
    return Asha(starts_at, grace_period=latest + 1 - starts_at, max_t=space.epochs - starts_at)


def peer_name(clock: Clock | None) -> str:
    """For people; None: the plain search that stops nothing.

    >>> peer_name("epochs_done"), peer_name(None)
    ('ASHA by epochs done', 'no stopping')
    """
    return _NAMES[clock]
