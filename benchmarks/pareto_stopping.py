"""Early stopping of searches for two metrics, replayed over complete curves: how much of the front it keeps.

    python -m benchmarks.pareto_stopping [--orders 10] [--factor 2] [--out FILE]

The metrics are balanced accuracy and validation loss; the curves are those of `benchmarks.train_curves`, of both sets.
Trials arrive in random orders and four take turns epoch by epoch; `tune_runs.stopping.pareto_stopping`, the code that
decides in a search, stops them. Per scenario, means over seeds and orders:

- front: the area under the front of the completed trials, by their mean gains over the plain control on the *other*
  seeds, in parts of that of all configurations; from the lower quartile of each metric;
- epochs: those of stage two.

`fronts` is the rule of a search, `none` stops nothing, and `none, equal epochs` stops nothing but starts only as many
trials as the epochs of `fronts` pay for.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from absgd import records
from benchmarks.complete_curves.curve_sets import CURVE_SETS, CurveSet
from benchmarks.complete_curves.curve_tables import SeedCurves, TrialCurve, read_seed_curves
from benchmarks.complete_curves.search_replay import ReplayedSearch, stopping_under, take_turns
from benchmarks.harness.command_line import at_least, command_parser
from tune_runs.space.space_sections import EarlyStoppingConfig
from tune_runs.stopping.pareto_stopping import ParetoStopping
from tune_runs.stopping.stopping_rules import ScenarioStopping

METRICS = ("val_balanced_accuracy", "val_loss")
NUM_TRIALS, AT_ONCE = 32, 4
WORST_LOSS = 10.0
"""A larger loss counts as this one: those of collapsed trials would be the whole area."""
Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class TwoMetricCell:
    """The curves of one scenario and seed by both metrics."""

    first: SeedCurves
    second: SeedCurves

    def gains(self) -> dict[int, Point]:
        """Return the gains of each trial over the plain control at its last epoch, larger is better."""
        last = self.first.space.epochs - 1
        pairs = zip(self.first.curves, self.second.curves, strict=True)
        return {
            one.number: (one.end() - self.first.control[last], self.second.control[last] - other.end())
            for one, other in pairs
        }


def two_metric_cells(curves: CurveSet) -> list[TwoMetricCell]:
    """Read the committed curves of a set by both metrics."""
    table = pd.read_parquet(curves.folder / "curves.parquet")
    table["val_loss"] = table.val_loss.clip(upper=WORST_LOSS)
    spaces = {scenario.name: space for space in curves.spaces for scenario in space.scenario_list}
    cells = []
    for (scenario, seed), rows in table.groupby(["scenario", "seed"]):
        first, second = (
            read_seed_curves(
                spaces[str(scenario)].model_copy(update={"metric": metric}), str(scenario), int(str(seed)), rows
            )
            for metric in METRICS
        )
        cells.append(TwoMetricCell(first, second))
    return cells


def replay_by_fronts(cell: TwoMetricCell, order: Sequence[TrialCurve], factor: int) -> ReplayedSearch:
    """Replay a search whose trials are stopped by fronts."""
    stopping = stopping_under(cell.first.space, EarlyStoppingConfig(reduction_factor=factor))
    first, second = (
        ScenarioStopping(stopping, records.METRICS[one.space.objective.first], one.control.get)
        for one in (cell.first, cell.second)
    )
    judge = ParetoStopping(stopping, (first, second))
    others = {curve.number: curve for curve in cell.second.curves}

    def is_behind(curve: TrialCurve, epoch: int) -> bool:
        values = (curve.by_epoch[epoch], others[curve.number].by_epoch[epoch])
        return judge.falls_behind(str(curve.number), curve.switch, epoch, values)

    return take_turns(cell.first, order, AT_ONCE, is_behind)


def replay_to_the_end(cell: TwoMetricCell, order: Sequence[TrialCurve]) -> ReplayedSearch:
    """Replay a search that stops nothing."""
    return take_turns(cell.first, order, AT_ONCE, lambda _curve, _epoch: False)


def paid_for(order: Sequence[TrialCurve], epochs: int) -> list[TrialCurve]:
    """Return the first trials, at least one, whose epochs are within `epochs`."""
    totals = itertools.accumulate(len(curve.by_epoch) for curve in order)
    return list(order[: max(1, sum(total <= epochs for total in totals))])


def front_area(points: Sequence[Point], corner: Point) -> float:
    """Return the area that some point exceeds in both values, above and right of a corner.

    >>> front_area([(1.0, 2.0), (2.0, 1.0)], (0.0, 0.0))
    3.0
    """
    area, height = 0.0, corner[1]
    for first, second in sorted(points, reverse=True):
        if first > corner[0] and second > height:
            area, height = area + (first - corner[0]) * (second - height), second
    return area


def measured_rows(cells: Sequence[TwoMetricCell], orders: int, factor: int) -> Iterator[dict[str, object]]:
    """Yield a row for each cell and way to stop: means over the orders."""
    for cell in cells:
        own, away = cell.gains(), _gains_elsewhere(cells, cell)
        low, high = (float(np.quantile([gain[axis] for gain in away.values()], 0.25)) for axis in (0, 1))
        whole = front_area(list(away.values()), (low, high))
        source = random.Random(f"{cell.first.scenario}{cell.first.seed}")
        found: dict[str, list[tuple[float, int]]] = {"fronts": [], "none, equal epochs": [], "none": []}
        for _ in range(orders):
            order = source.sample(cell.first.curves, min(NUM_TRIALS, len(cell.first.curves)))
            ours = replay_by_fronts(cell, order, factor)
            equal = replay_to_the_end(cell, paid_for(order, ours.epochs))
            for way, search in zip(found, (ours, equal, replay_to_the_end(cell, order)), strict=True):
                kept = [curve.number for curve in search.completed]
                ranks = records.pareto_ranks([own[number] for number in kept])
                front = [away[number] for number, rank in zip(kept, ranks, strict=True) if rank == 0]
                found[way].append((front_area(front, (low, high)) / whole, search.epochs))
        for way, values in found.items():
            area, epochs = (statistics.fmean(column) for column in zip(*values, strict=True))
            keys = {"scenario": cell.first.scenario, "seed": cell.first.seed, "way": way}
            yield {**keys, "front": area, "epochs": epochs}


def _gains_elsewhere(cells: Sequence[TwoMetricCell], cell: TwoMetricCell) -> Mapping[int, Point]:
    others = [
        one.gains() for one in cells if one.first.scenario == cell.first.scenario and one.first.seed != cell.first.seed
    ]
    return {
        number: (statistics.fmean(own[number][0] for own in others), statistics.fmean(own[number][1] for own in others))
        for number in others[0]
    }


def main() -> None:
    """Replay, write and print."""
    parser = command_parser("benchmarks.pareto_stopping", __doc__)
    parser.add_argument("--orders", type=at_least(1), default=10)
    parser.add_argument("--factor", type=at_least(2), default=2, help="about one trial in so many passes a rung")
    parser.add_argument("--out", type=Path, help="parquet file for the rows")
    options = parser.parse_args()
    cells = [cell for curves in CURVE_SETS.values() for cell in two_metric_cells(curves)]
    rows = pd.DataFrame(measured_rows(cells, options.orders, options.factor))
    if options.out:
        rows.to_parquet(options.out, index=False)
    table = rows.pivot_table(index="scenario", columns="way", values=["front", "epochs"], margins=True)
    spread = rows.pivot_table(index=["scenario", "seed"], columns="way", values="front")
    gap = spread["fronts"] - spread["none, equal epochs"]
    print(table.round(2).to_string())
    error = float(gap.std()) / len(gap) ** 0.5
    print(
        f"fronts minus none, equal epochs: {float(gap.mean()):+.3f} ± {error:.3f}, standard error over {len(gap)} cells"
    )


if __name__ == "__main__":
    main()
