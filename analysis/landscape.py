"""Scores of search trials over two parameters, and over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from absgd.errors import UserError, nearest
from absgd.records import CONFIG_COLUMNS
from analysis.frames import SCENARIO
from analysis.space import Searched, searched_parameters

if TYPE_CHECKING:
    from analysis.runs import Runs


def landscape(runs: Runs, x: str, y: str) -> pd.DataFrame:
    """Where the search looked, and what it found there.

    Args:
        runs: the runs.
        x, y: columns of settings, such as `lam` and `gamma`.

    Returns:
        One row per search trial that has both: `folder`, `scenario`, `trial_id`, `status`, x, y, `score` (by the
        selection rule; NaN for trials that did not complete), `last_value` (the metric at the last epoch trained, also
        of a pruned trial, which had fewer epochs), `epochs_done`, `metric`, `rule`.

    Raises:
        UserError: if there is no such setting.
    """
    settings = [name for name in runs.trials.columns if name in CONFIG_COLUMNS or name.startswith("params/")]
    for name in (x, y):
        if name not in settings:
            raise UserError(f"no setting {name!r}{nearest(name, settings)}")
    own = runs.scored[runs.scored.phase == "search"].dropna(subset=[x, y])
    names = [*SCENARIO, "trial_id", "status", *dict.fromkeys((x, y)), "score", "last_value", "epochs_done", "metric"]
    done = (own.epochs_trained.fillna(0) + own.epochs_inherited.fillna(0)).astype("int64")
    return (
        own.assign(last_value=own.metric_last, epochs_done=done)[names]
        .assign(rule=runs.rule.title)
        .reset_index(drop=True)
    )


def parallel(runs: Runs) -> tuple[pd.DataFrame, tuple[Searched, ...]]:
    """Every searched parameter of every search trial of one scenario.

    Args:
        runs: of one scenario (`Runs.scenarios`).

    Returns:
        Rows of `Runs.scored` of the search, and the parameters that it varied.
    """
    own = runs.scored[runs.scored.phase == "search"].reset_index(drop=True)
    folder: Any = own.folder.iloc[0] if len(own) else ""
    return own, searched_parameters(runs.space_of(folder), own)
