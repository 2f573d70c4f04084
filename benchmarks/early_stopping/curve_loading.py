"""Complete curves checked for the comparison of rules."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from absgd.errors import UserError
from benchmarks.complete_curves.curve_tables import SeedCurves


def comparable_cells(cells: Sequence[SeedCurves], num_trials: int) -> list[SeedCurves]:
    """Select the cells whose scenario has other seeds too, which true regret needs.

    Raises:
        UserError: if there are none, or one has fewer curves than `num_trials`.
    """
    seeds = Counter(cell.scenario for cell in cells)
    found = [cell for cell in cells if seeds[cell.scenario] > 1]
    if not found:
        raise UserError("expected a scenario with curves of at least two seeds (--curves)")
    for cell in found:
        if (num_curves := len(cell.curves)) < num_trials:
            raise UserError(
                f"expected at least {num_trials} curves, got {num_curves} (--curves: {cell.scenario}, seed {cell.seed})"
            )
    return found


def means_elsewhere(cells: Sequence[SeedCurves], cell: SeedCurves) -> Mapping[int, float]:
    """Return each configuration's mean last value over the other seeds; a diverged run counts with its last one."""
    others = [other for other in cells if other.scenario == cell.scenario and other.seed != cell.seed]
    finals = [{curve.number: curve.end() for curve in other.curves} for other in others]
    return {curve.number: statistics.fmean(final[curve.number] for final in finals) for curve in cell.curves}
