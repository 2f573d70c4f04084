"""Complete curves of many trials, and the tables in which they lie: what searches are replayed over."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from absgd import records
from tune_runs.space.model import SearchSpace

SPACES = Path(__file__).parent / "spaces"
RESULTS = Path(__file__).parent / "results"
CONTROL = -1
"""Number of the plain control in a table."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """What a trial measures if nothing stops it."""

    number: int
    switch: int
    by_epoch: Mapping[int, float]
    """The metric of every epoch from the switch on; a trial that diverges has no more than it trained."""
    val_loss: float
    """At the last epoch."""

    @property
    def last_epoch(self) -> int:
        """The last one that it trains."""
        return max(self.by_epoch)

    def end(self, epochs: int = 1) -> float:
        """Mean of the last epochs."""
        return statistics.fmean(list(self.by_epoch.values())[-epochs:])


@dataclasses.dataclass(frozen=True)
class Cell:
    """All curves of a scenario on one seed."""

    space: SearchSpace
    scenario: str
    seed: int
    control: Mapping[int, float]
    """The metric of every epoch of the plain control."""
    curves: tuple[Curve, ...]

    @property
    def sign(self) -> float:
        """Of the metric: times it, larger is better."""
        return 1.0 if records.METRICS[self.space.metric] == "max" else -1.0

    def is_complete(self, curve: Curve) -> bool:
        """Whether a trial comes to the last epoch: it does not diverge."""
        return curve.last_epoch == self.space.epochs - 1


def read_cell(space: SearchSpace, scenario: str, seed: int, rows: pd.DataFrame) -> Cell:
    """The curves of one scenario and seed in a table of `benchmarks.train_curves`."""
    in_order = rows.sort_values("epoch")
    control = in_order[in_order.number == CONTROL]
    trials = in_order[(in_order.number != CONTROL) & (in_order.stage == 2)]
    curves = []
    for number, own in trials.groupby("number"):
        values = _by_epoch(own, space.metric)
        curves.append(Curve(int(str(number)), min(values), values, float(own.val_loss.iloc[-1])))
    return Cell(space, scenario, seed, _by_epoch(control, space.metric), tuple(curves))


def _by_epoch(rows: pd.DataFrame, metric: str) -> dict[int, float]:
    return dict(zip(rows.epoch.tolist(), rows[metric].tolist(), strict=True))
