"""The job of a part: its device, its time, and its measurements, each kept as soon as it is made."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.gpu.part_records import NOT_MEASURED, PartRecord, PartSection
from benchmarks.gpu.part_table import HourPart
from benchmarks.gpu.summary_page import write_summary
from benchmarks.harness.target_verdicts import TargetVerdict

ResultT = TypeVar("ResultT")
LEAST_ROUNDS = 3
RESERVE_S = 5.0
"""Time kept for the end of a part."""


class PartFailed(Exception):  # noqa: N818 - names an event
    """A part is not passed; the message says why in one line."""


class PartOrder(NamedTuple):
    """The order that the process of a part is given."""

    part: HourPart
    folder: Path
    is_dry_run: bool
    until: float
    """End of its time, on the monotonic clock that all processes of a machine share."""
    data_root: str | None
    """Folder of Fashion-MNIST, where it is not Debian's."""


class PartJob:
    """The device and time of a part, and what it has measured so far.

    Args:
        order: of the process.
        record: the record so far.
    """

    def __init__(self, order: PartOrder, record: PartRecord) -> None:
        self.order, self.record = order, record
        self.is_dry_run, self.data_root = order.is_dry_run, order.data_root
        self.device = "cpu" if order.is_dry_run else "cuda"
        self._failed: list[str] = []

    @property
    def left_s(self) -> float:
        """Seconds left for measurements."""
        return self.order.until - time.monotonic() - (0.0 if self.is_dry_run else RESERVE_S)

    def until_share(self, cases_left: int) -> float:
        """Return the end of the time for the next of several cases, on the monotonic clock."""
        return time.monotonic() + self.left_s / cases_left

    def measure(self, title: str, measurement: Callable[[], PartSection]) -> None:
        """Make one measurement and keep it, or the error that ended it; without time left it is not made."""
        if self.left_s <= 0:
            self._keep(PartSection(title, (f"{NOT_MEASURED}: no time was left",), faults=("no time was left",)))
            return
        try:
            section = measurement()
        except Exception as error:  # noqa: BLE001 - one that fails takes no other with it
            traceback.print_exc()
            words = " ".join(f"{type(error).__name__}: {error}".split())
            section = PartSection(title, (f"failed: {words}",), faults=(words,))
        self._keep(dataclasses.replace(section, title=title))

    def finish(self) -> None:
        """Call after the last measurement.

        Raises:
            PartFailed: if one of them failed, or found something wrong.
        """
        if self._failed:
            raise PartFailed("; ".join(self._failed))

    def _keep(self, section: PartSection) -> None:
        print(section.title, *section.lines, *section.verdicts, sep="\n", flush=True)
        self.record = dataclasses.replace(self.record, sections=(*self.record.sections, section))
        self.record.write(self.order.folder, self.order.part)
        write_summary(self.order.folder)
        self._failed += [f"{section.title}: {fault}" for fault in section.faults]


def fitting_rounds(
    measure: Callable[[int], ResultT], until: float, most: int, now: Callable[[], float] = time.monotonic
) -> tuple[int, ResultT]:
    """Measure in as many rounds as fit, at least in three; return their number and what was measured.

    Three rounds, the fewest that have quartiles, and the one that warms up are timed first; where more fit beside them,
    the measurement is made again.

    Args:
        measure: measures in a number of rounds, after one more that warms up.
        until: end of the time, on the clock of `now`.
        most: largest number of rounds.
        now: a clock, in seconds.
    """
    started = now()
    found = measure(LEAST_ROUNDS)
    ended = now()
    round_s = max((ended - started) / (LEAST_ROUNDS + 1), 1e-9)
    rounds = min(most, int((until - ended) / round_s) - 1)
    return (LEAST_ROUNDS, found) if rounds <= LEAST_ROUNDS else (rounds, measure(rounds))


def measured(verdicts: Iterable[TargetVerdict]) -> tuple[TargetVerdict, ...]:
    """Return the verdicts on targets of this hardware and model; the page names those that no section has."""
    return tuple(verdict for verdict in verdicts if verdict.is_met is not None)


def texts(lines: Sequence[object]) -> tuple[str, ...]:
    """Return lines as text."""
    return tuple(map(str, lines))
