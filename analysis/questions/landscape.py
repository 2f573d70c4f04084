"""Scores of search trials over two parameters, and over all searched parameters."""

from __future__ import annotations

import pandas as pd

from absgd.errors import UserError, nearest
from absgd.records import CONFIG_COLUMNS
from analysis.frames.option_columns import is_option_column
from analysis.frames.run_frames import RunFrames
from analysis.frames.searched_parameters import SearchedParameter
from analysis.frames.typed_frames import SCENARIO, total_epochs

SEARCHED = (
    *SCENARIO,
    "trial_id",
    "status",
    "metric",
    "metric_last",
    "score",
    "rank_score",
    "switch_epoch",
    "epochs_trained",
    "epochs_inherited",
)
"""Columns of `searched_trials` besides the parameters."""


def landscape(runs: RunFrames, x: str, y: str) -> pd.DataFrame:
    """Return the points that the search tried over two parameters, with their scores.

    Args:
        runs: the runs.
        x, y: columns of settings, such as `lam` and `gamma`.

    Returns:
        One row per search trial with a value of both: `folder`, `scenario`, `trial_id`, `status`, x, y, `score` (by the
        selection rule; NaN for trials that did not complete), `last_value` (the metric at the last epoch trained, also
        for a pruned trial, which had fewer epochs), `epochs_done`, `metric`, `rule`.

    Raises:
        UserError: if there is no such setting.
    """
    settings = [name for name in runs.trials.columns if _is_setting(name)]
    for name in (x, y):
        if name not in settings:
            raise UserError(f"no setting {name!r}{nearest(name, settings)}")
    about, measured = [*SCENARIO, "trial_id", "status"], ["score", "metric_last", "metric"]
    names = [*about, *dict.fromkeys((x, y)), "score", "last_value", "epochs_done", "metric"]
    read = dict.fromkeys([*about, x, y, *measured, "epochs_trained", "epochs_inherited"])
    own = runs.searched[[*read]].dropna(subset=[x, y])
    done = total_epochs(own).astype("int64")
    found = own.assign(last_value=own.metric_last, epochs_done=done)[names]
    return found.assign(rule=runs.rule.title).reset_index(drop=True)


def _is_setting(name: str) -> bool:
    return name in CONFIG_COLUMNS or name.startswith("params/") or is_option_column(name)


def searched_trials(runs: RunFrames) -> tuple[pd.DataFrame, tuple[SearchedParameter, ...]]:
    """Return every searched parameter of every search trial of one scenario.

    Args:
        runs: the runs of one scenario (`Runs.scenarios`).

    Returns:
        The search's rows of `RunFrames.scored`, with the columns `SEARCHED` and those of the parameters, other
        scenarios' among them; and the parameters that it varied.
    """
    return runs.cut(searched_values), runs.parameters


def searched_values(runs: RunFrames) -> pd.DataFrame:
    """Return the search trials with the columns `SEARCHED` and all parameters that some scenario varied."""
    parameters = (parameter.column for one in runs.scenarios() for parameter in one.parameters)
    return runs.searched[[*dict.fromkeys([*SEARCHED, *parameters])]].reset_index(drop=True)
