"""Importance of each searched parameter, with the method and the number of pruned trials it used."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from absgd.errors import UserError, nearest
from analysis.frames.run_frames import Row, RunFrames, rows_of_frame
from analysis.frames.searched_parameters import SearchedParameter
from analysis.frames.selection import sign_of
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.landscape import searched_trials

Method = Literal["ped-anova", "fanova"]
FEWEST = {"ped-anova": 12, "fanova": 20}
"""Method -> number of trials below which it makes no statement."""
TOP = 0.25
"""Fraction of trials that PED-ANOVA counts as good."""
METHOD_TITLES = {
    "ped-anova": f"PED-ANOVA: what distinguishes the best {TOP:.0%} of trials from all; pruned and diverged trials "
    "rank below finished ones, by epochs reached",
    "fanova": "fANOVA over finished trials only; pruned ones are left out",
}
SampledValues = tuple[SearchedParameter, "pd.Series[Any]"]
"""A parameter, and its values in the trials."""
COLUMNS = [*SCENARIO, "parameter", "importance", "method", "num_completed", "num_pruned", "uses_pruned", "note"]


def importance(runs: RunFrames, method: Method) -> pd.DataFrame:
    """Return how much each searched parameter matters for the score.

    Args:
        runs: the runs.
        method: `ped-anova` measures what distinguishes the best quarter of trials from all. It needs ranks only, so
            pruned trials count too, below all finished ones, by epochs reached and then by their metric there, as
            Optuna's TPE ranks them; diverged ones come last. `fanova` explains the variance of the score and so uses
            finished trials only.

    Returns:
        One row per scenario and parameter, the most important first: `folder`, `scenario`, `parameter`, `importance`
        (sums to 1 over a scenario), `method`, `num_completed`, `num_pruned`, `uses_pruned`, `note`. A scenario with
        too few trials has one row, without parameter, whose `note` says so.

    Raises:
        UserError: if there is no such method.
    """
    if method not in get_args(Method):
        raise UserError(f"expected one of `ped-anova`, `fanova`, got {method!r}{nearest(method, FEWEST)}")
    rows = [row for one in runs.scenarios() if len(one.searched) for row in _of_scenario(one, method)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_scenario(runs: RunFrames, method: Method) -> list[dict[str, Any]]:
    trials, parameters = searched_trials(runs)
    used = _ranked(trials) if method == "ped-anova" else trials.assign(value=trials.rank_score)
    used = used[used.value.notna()].reset_index(drop=True)
    counts = Counter(trials.status)
    about = {
        **dict(zip(SCENARIO, runs.key, strict=True)),
        "method": method,
        "num_completed": counts["completed"],
        "num_pruned": counts["pruned"],
        "uses_pruned": method == "ped-anova",
        "note": None,
    }
    sampled = _sampled(used, parameters)
    note = _refusal(used, sampled, method)
    if note is not None:
        return [{**about, "parameter": None, "importance": float("nan"), "note": note}]
    # Optuna is slow to import, and the other questions do not need it.
    from analysis.questions.optuna_importance import evaluated

    found = evaluated(used.value.tolist(), sampled, TOP if method == "ped-anova" else None)
    ordered = sorted(found.items(), key=lambda one: -one[1])
    return [{**about, "parameter": name, "importance": value} for name, value in ordered]


def _refusal(used: pd.DataFrame, sampled: dict[str, SampledValues], method: Method) -> str | None:
    if len(used) < FEWEST[method]:
        kind = "trials" if method == "ped-anova" else "finished trials"
        return f"{len(used)} {kind} are too few (at least {FEWEST[method]} are needed)"
    if not sampled:
        return "no parameter took more than one value and was sampled in every trial"
    return "all trials score the same" if used.value.nunique() < 2 else None


def _ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that ended, with a dense rank as `value`: equal ones have equal ranks."""
    own = trials[trials.status.isin(_GROUPS)]
    standings = [_standing(row) for row in rows_of_frame(own)]
    place = {standing: float(rank) for rank, standing in enumerate(sorted(set(standings)))}
    return own.assign(value=np.asarray([place[standing] for standing in standings], dtype=np.float64))


_GROUPS = {"diverged": 0, "pruned": 1, "completed": 2}
"""Statuses, from the worst to the best."""


def _standing(row: Row) -> tuple[int, float, float]:
    """Return what ranks a trial: finished ones by score, pruned and diverged ones by epochs reached and metric."""
    if row.status == "completed":
        return _GROUPS[row.status], 0.0, _known(row.rank_score, -math.inf)
    far = _known(row.epochs_trained) + _known(row.epochs_inherited) - _known(row.switch_epoch)
    return _GROUPS[row.status], far, _known(row.metric_last * sign_of(row.metric), -math.inf)


def _known(value: Any, default: float = 0.0) -> float:
    return default if pd.isna(value) else float(value)


def _sampled(used: pd.DataFrame, parameters: tuple[SearchedParameter, ...]) -> dict[str, SampledValues]:
    """Return name -> parameter and values of everything sampled in every trial that took more than one value."""
    found = {}
    for parameter in parameters:
        values = used[parameter.column]
        if values.isna().any():
            continue
        for name, own in parameter.sampled(values).items():
            if len(set(map(str, own))) > 1:
                found[name] = (parameter, own)
    return found
