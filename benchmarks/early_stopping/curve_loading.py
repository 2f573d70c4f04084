"""Complete curves read and checked for the comparison of rules."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from absgd.errors import UserError
from benchmarks.complete_curves.curve_tables import SeedCurves, read_seed_curves
from benchmarks.complete_curves.curve_training import early_stopping_spaces


def load_cells(folder: Path) -> list[SeedCurves]:
    """Load the curves in a folder of `benchmarks.train_curves`, finished or not.

    Raises:
        UserError: if there are none, or a scenario belongs to no space.
    """
    whole = folder / "curves.parquet"
    parts = [whole] if whole.exists() else sorted((folder / "parts").glob("*.parquet"))
    if not parts:
        raise UserError(
            f"expected what `python -m benchmarks.train_curves` writes, got none of it in {folder} (--curves)"
        )
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    by_scenario = {scenario.name: space for space in early_stopping_spaces() for scenario in space.scenario_list}
    if unknown := sorted(set(table.scenario) - by_scenario.keys()):
        raise UserError(f"expected scenarios {', '.join(by_scenario)}, got {', '.join(unknown)} ({folder})")
    return [
        read_seed_curves(by_scenario[str(scenario)], str(scenario), int(str(seed)), rows)
        for (scenario, seed), rows in table.groupby(["scenario", "seed"])
    ]


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
