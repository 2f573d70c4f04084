"""Complete curves of many trials, read from the tables that `benchmarks.train_curves` writes."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

import pandas as pd

from absgd import records
from tune_runs.space.model import SearchSpace

CONTROL = -1
"""Number of the plain control in a table."""


@dataclasses.dataclass(frozen=True)
class TrialCurve:
    """The measurements of a trial that nothing stops."""

    number: int
    switch: int
    by_epoch: Mapping[int, float]
    """Metric of every epoch from the switch on; a trial that diverges has only the epochs that it trained."""
    val_loss: float
    """Validation loss at the last epoch."""

    @property
    def last_epoch(self) -> int:
        """Last epoch that the trial trains."""
        return max(self.by_epoch)

    def end(self, epochs: int = 1) -> float:
        """Return the mean of the last `epochs` epochs."""
        return statistics.fmean(list(self.by_epoch.values())[-epochs:])


@dataclasses.dataclass(frozen=True)
class SeedCurves:
    """All curves of a scenario on one seed."""

    space: SearchSpace
    scenario: str
    seed: int
    control: Mapping[int, float]
    """Metric of every epoch of the plain control."""
    curves: tuple[TrialCurve, ...]

    @property
    def sign(self) -> float:
        """Factor of the metric that makes larger values better."""
        return 1.0 if records.METRICS[self.space.objective.first] == "max" else -1.0

    def is_complete(self, curve: TrialCurve) -> bool:
        """Whether a trial reaches the last epoch, so does not diverge."""
        return curve.last_epoch == self.space.epochs - 1


def read_seed_curves(space: SearchSpace, scenario: str, seed: int, rows: pd.DataFrame) -> SeedCurves:
    """Read the curves of one scenario and seed from the rows of a table."""
    in_order = rows.sort_values("epoch")
    control = in_order[in_order.number == CONTROL]
    trials = in_order[(in_order.number != CONTROL) & (in_order.stage == 2)]
    curves = []
    for number, own in trials.groupby("number"):
        values = _by_epoch(own, space.objective.first)
        curves.append(TrialCurve(int(str(number)), min(values), values, float(own.val_loss.iloc[-1])))
    return SeedCurves(space, scenario, seed, _by_epoch(control, space.objective.first), tuple(curves))


def _by_epoch(rows: pd.DataFrame, metric: str) -> dict[int, float]:
    return dict(zip(rows.epoch.tolist(), rows[metric].tolist(), strict=True))
