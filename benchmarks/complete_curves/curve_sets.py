"""The sets of complete curves: those on which rules and plans were chosen, and those that took no part in a choice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from absgd.errors import UserError
from benchmarks.complete_curves.curve_tables import SeedCurves, read_seed_curves
from benchmarks.harness.locations import RESULTS, SPACES
from tune_runs.request.space_files import load_space
from tune_runs.space.model import SearchSpace


class CurveSet(NamedTuple):
    """Spaces whose complete curves serve one purpose, and the folder that holds the curves."""

    name: str
    """Folder in benchmarks/results; the files of the spaces begin with it."""

    @property
    def folder(self) -> Path:
        """Folder in which the tables are committed."""
        return RESULTS / self.name

    @property
    def spaces(self) -> list[SearchSpace]:
        """The spaces, read from their files."""
        return [load_space(str(path)) for path in sorted(SPACES.glob(f"{self.name}_*.yaml"))]


CHOSEN_ON = CurveSet("early_stopping")
"""The curves on which the rule of early stopping and the plan of seeds were chosen."""
HELD_OUT = CurveSet("seed_plans")
"""Curves that took no part in any choice."""
NEIGHBOURS = CurveSet("neighbouring_ratios")
"""Curves of the same configurations at three ratios of one data set."""
CURVE_SETS = {curves.name: curves for curves in (CHOSEN_ON, HELD_OUT)}
"""The sets by which rules and plans are judged."""


def load_cells(curves: CurveSet, folder: Path | None = None) -> list[SeedCurves]:
    """Load the curves of a set from its folder or another, finished or not.

    Raises:
        UserError: if there are none, or a scenario belongs to no space of the set.
    """
    folder = folder or curves.folder
    whole = folder / "curves.parquet"
    parts = [whole] if whole.exists() else sorted((folder / "parts").glob("*.parquet"))
    if not parts:
        raise UserError(
            f"expected what `python -m benchmarks.train_curves` writes, got none of it in {folder} (--curves)"
        )
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    by_scenario = {scenario.name: space for space in curves.spaces for scenario in space.scenario_list}
    if unknown := sorted(set(table.scenario) - by_scenario.keys()):
        raise UserError(f"expected scenarios {', '.join(by_scenario)}, got {', '.join(unknown)} ({folder})")
    return [
        read_seed_curves(by_scenario[str(scenario)], str(scenario), int(str(seed)), rows)
        for (scenario, seed), rows in table.groupby(["scenario", "seed"])
    ]
