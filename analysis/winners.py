"""The trials of each scenario that a figure shows: the winner's, and those of the controls beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.best import best_rows
from analysis.compare import control_names, trials_of
from analysis.frames import SCENARIO

if TYPE_CHECKING:
    from analysis.runs import Runs


def shown_trials(runs: Runs) -> pd.DataFrame:
    """Completed trials of the winner and of every control of its basis.

    Returns:
        Rows of `Runs.scored` with `configuration`, `is_control` and `order` (0 for the winner, then the controls).
    """
    configurations = runs.configurations
    parts = []
    for _, winner in best_rows(configurations, SCENARIO).iterrows():
        own = configurations[(configurations.folder == winner.folder) & (configurations.scenario == winner.scenario)]
        names = control_names(own[own.basis == winner.basis])
        parts.append(trials_of(runs, winner).assign(configuration=str(winner.configuration), is_control=False, order=0))
        for order, name in enumerate(names, start=1):
            parts.append(trials_of(runs, winner, name).assign(configuration=name, is_control=True, order=order))
    if not parts:
        return runs.scored.head(0).assign(configuration="", is_control=False, order=0)
    return pd.concat(parts, ignore_index=True)
