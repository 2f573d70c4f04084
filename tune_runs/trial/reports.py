"""What a trial's process reports to the driver: the record of each epoch, and beside it what these keys hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from absgd.records import Status

DIVERGED = "diverged"
"""Of the one report that is no epoch: why the loss was no longer finite."""
EARLIER = "earlier"
"""Of the first report: records of the epochs before it, from a snapshot, each with `inherited`."""
INHERITED = "inherited"
"""Of a record: whether another run than the one that reports it trained the epoch; absent: no."""
OVER_BUDGET = "over_budget"
"""Whether the disk budget left no room for a snapshot of the epoch; absent: no."""
TEST = "test"
"""Of the last epoch's report of a confirmation: columns of its row that were measured on the test set."""
NOTES = "notes"
"""What there is to say to the user, as sentences."""


class HostAnswer(NamedTuple):
    """What the process of a cohort says of a trial when it is asked."""

    report: dict[str, Any] | None = None
    """None: there is none yet, or no more."""
    has_ended: bool = False


def end_status(last_report: Mapping[str, Any] | None, epochs: int) -> Status:
    """Status of a trial that ended without an error; stopped before its last epoch, it was pruned.

    >>> end_status({"epoch": 15}, epochs=16), end_status({"epoch": 12}, epochs=16)
    ('completed', 'pruned')
    """
    if last_report and DIVERGED in last_report:
        return "diverged"
    return "completed" if last_report and last_report.get("epoch") == epochs - 1 else "pruned"
