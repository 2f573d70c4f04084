"""Importance of each searched parameter, with the method and the number of pruned trials it used."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from absgd.errors import UserError, nearest
from absgd.records import METRICS
from analysis.frames.run_frames import RunFrames
from analysis.frames.searched_parameters import SearchedParameter
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
    parts = [_of_scenario(one, method) for one in runs.scenarios() if (one.trials.phase == "search").any()]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _of_scenario(runs: RunFrames, method: Method) -> pd.DataFrame:
    trials, parameters = searched_trials(runs)
    used = _ranked(trials) if method == "ped-anova" else trials.assign(value=trials.rank_score)
    used = used.dropna(subset=["value"]).reset_index(drop=True)
    about = {
        "folder": trials.folder.iloc[0],
        "scenario": trials.scenario.iloc[0],
        "method": method,
        "num_completed": int((trials.status == "completed").sum()),
        "num_pruned": int((trials.status == "pruned").sum()),
        "uses_pruned": method == "ped-anova",
        "note": None,
    }
    sampled = _sampled(used, parameters)
    note = _refusal(used, sampled, method)
    if note is not None:
        return pd.DataFrame([{**about, "parameter": None, "importance": float("nan"), "note": note}])
    # Optuna is slow to import, and the other questions do not need it.
    from analysis.questions.optuna_importance import evaluated

    found = evaluated(used.value.tolist(), sampled, TOP if method == "ped-anova" else None)
    rows = [{**about, "parameter": name, "importance": value} for name, value in found.items()]
    return pd.DataFrame(rows).sort_values("importance", ascending=False, kind="stable")


def _refusal(used: pd.DataFrame, sampled: dict[str, SampledValues], method: Method) -> str | None:
    if len(used) < FEWEST[method]:
        kind = "trials" if method == "ped-anova" else "finished trials"
        return f"{len(used)} {kind} are too few (at least {FEWEST[method]} are needed)"
    if not sampled:
        return "no parameter took more than one value and was sampled in every trial"
    return "all trials score the same" if used.value.nunique() < 2 else None


def _ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Add a rank as `value`: finished trials by score, below them pruned and then diverged ones by epochs reached."""
    sign = trials.metric.map(lambda name: -1.0 if METRICS.get(name) == "min" else 1.0)
    own = trials[trials.status.isin(("completed", "pruned", "diverged"))]
    done = own.epochs_trained.fillna(0) + own.epochs_inherited.fillna(0) - own.switch_epoch.fillna(0)
    order = own.assign(
        group=own.status.map({"completed": 2, "pruned": 1, "diverged": 0}),
        far=done.where(own.status != "completed", 0).astype("float64"),
        within=own.rank_score.where(own.status == "completed", own.metric_last * sign)
        .astype("float64")
        .fillna(-np.inf),
    )
    return own.assign(value=np.asarray(_dense(order), dtype=np.float64))


def _dense(order: pd.DataFrame) -> list[int]:
    """Return the dense rank of each row: equal rows have equal ranks."""
    rows = list(order[["group", "far", "within"]].itertuples(index=False, name=None))
    place = {row: index for index, row in enumerate(sorted(set(rows)))}
    return [place[row] for row in rows]


def _sampled(used: pd.DataFrame, parameters: tuple[SearchedParameter, ...]) -> dict[str, SampledValues]:
    """Return name -> parameter and values of everything sampled in every trial that took more than one value."""
    found = {}
    for parameter in parameters:
        values = used[parameter.column]
        if values.map(lambda value: not pd.api.types.is_list_like(value) and pd.isna(value)).any():
            continue
        for name, own in parameter.sampled(values).items():
            if len(set(own.map(str))) > 1:
                found[name] = (parameter, own)
    return found
