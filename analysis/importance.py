"""How much each searched parameter matters, told with the method and with what became of pruned trials."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from absgd.errors import UserError, nearest
from absgd.records import METRICS
from analysis.frames import SCENARIO
from analysis.landscape import parallel
from analysis.space import Searched

if TYPE_CHECKING:
    import optuna

    from analysis.runs import Runs

Method = Literal["ped-anova", "fanova"]
FEWEST = {"ped-anova": 12, "fanova": 20}
"""Trials below which nothing is said."""
TOP = 0.25
"""Share of trials that PED-ANOVA counts as good."""
METHOD_TITLES = {
    "ped-anova": f"PED-ANOVA: what tells the best {TOP:.0%} of trials from all; pruned and diverged trials rank below "
    "finished ones, by how far they came",
    "fanova": "fANOVA over finished trials alone; pruned ones are left out",
}
COLUMNS = [*SCENARIO, "parameter", "importance", "method", "num_completed", "num_pruned", "uses_pruned", "note"]


def importance(runs: Runs, method: Method) -> pd.DataFrame:
    """How much each searched parameter matters for the score.

    Args:
        runs: the runs.
        method: `ped-anova` asks what tells the best quarter of trials from all: that needs ranks alone, so pruned
            trials count, below all finished ones, by how far they came and then by their metric there, as Optuna's TPE
            ranks them; so do diverged ones, last. `fanova` explains the variance of the score and so takes finished
            trials alone.

    Returns:
        One row per scenario and parameter, the most important first: `folder`, `scenario`, `parameter`, `importance`
        (all of a scenario sum to 1), `method`, `num_completed`, `num_pruned`, `uses_pruned`, `note`. A scenario with
        too few trials has one row, without parameter, whose `note` says so.

    Raises:
        UserError: if there is no such method.
    """
    if method not in get_args(Method):
        raise UserError(f"expected a method out of `ped-anova`, `fanova`, got {method!r}{nearest(method, FEWEST)}")
    parts = [_of_scenario(one, method) for one in runs.scenarios() if (one.trials.phase == "search").any()]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _of_scenario(runs: Runs, method: Method) -> pd.DataFrame:
    trials, parameters = parallel(runs)
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
    drawn = _drawn(used, parameters)
    note = _refusal(used, drawn, method)
    if note is not None:
        return pd.DataFrame([{**about, "parameter": None, "importance": float("nan"), "note": note}])
    found = _evaluate(_study(used, drawn), method)
    rows = [{**about, "parameter": name, "importance": value} for name, value in found.items()]
    return pd.DataFrame(rows).sort_values("importance", ascending=False, kind="stable")


def _refusal(used: pd.DataFrame, drawn: dict[str, tuple[Searched, pd.Series[Any]]], method: Method) -> str | None:
    if len(used) < FEWEST[method]:
        kind = "trials" if method == "ped-anova" else "finished trials"
        return f"{len(used)} {kind} are too few to tell (at least {FEWEST[method]})"
    if not drawn:
        return "no parameter was drawn in every trial with more than one value"
    return "all trials score the same" if used.value.nunique() < 2 else None


def _ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with a rank as `value`: finished ones by score, then pruned, then diverged ones, by how far they came."""
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
    """Equal rows get equal ranks."""
    rows = list(order[["group", "far", "within"]].itertuples(index=False, name=None))
    place = {row: index for index, row in enumerate(sorted(set(rows)))}
    return [place[row] for row in rows]


def _drawn(used: pd.DataFrame, parameters: tuple[Searched, ...]) -> dict[str, tuple[Searched, pd.Series[Any]]]:
    """Name -> parameter and values, of what was drawn in every trial with more than one value."""
    found = {}
    for parameter in parameters:
        values = used[parameter.column]
        if values.map(lambda value: not pd.api.types.is_list_like(value) and pd.isna(value)).any():
            continue
        for name, own in parameter.drawn(values).items():
            if len(set(own.map(str))) > 1:
                found[name] = (parameter, own)
    return found


def _study(used: pd.DataFrame, drawn: dict[str, tuple[Searched, pd.Series[Any]]]) -> optuna.Study:
    """An Optuna study of these trials in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {name: _distribution(parameter, values) for name, (parameter, values) in drawn.items()}
    columns = {
        name: [str(value) for value in values] if isinstance(kinds[name], _categorical()) else values.tolist()
        for name, (_, values) in drawn.items()
    }
    study = optuna.create_study(direction="maximize")
    for index, value in enumerate(used.value.tolist()):
        params = {name: values[index] for name, values in columns.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=float(value)))
    return study


def _categorical() -> type:
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution


def _distribution(parameter: Searched, values: pd.Series[Any]) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    is_number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if not is_number or (not parameter.is_range and values.nunique() <= 6):
        return CategoricalDistribution(sorted({str(value) for value in values}))
    assert is_number, "text and truths are categorical"
    low, high = float(values.min()), float(values.max())
    if parameter.is_range:
        assert parameter.low is not None, "a range has bounds"
        assert parameter.high is not None, "a range has bounds"
        low, high = min(low, parameter.low), max(high, parameter.high)
    if pd.api.types.is_integer_dtype(values.dtype):
        return IntDistribution(int(low), int(high), log=parameter.log and low >= 1)
    return FloatDistribution(low, high, log=parameter.log and low > 0)


def quantile_name() -> str:
    """What the share of good trials is called: Optuna renamed it."""
    from optuna.importance import PedAnovaImportanceEvaluator

    names = inspect.signature(PedAnovaImportanceEvaluator).parameters
    return next(name for name in ("target_quantile", "baseline_quantile") if name in names)


def _evaluate(study: optuna.Study, method: Method) -> dict[str, float]:
    from optuna.exceptions import ExperimentalWarning
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    quantile: dict[str, Any] = {quantile_name(): TOP}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = (
            PedAnovaImportanceEvaluator(**quantile) if method == "ped-anova" else FanovaImportanceEvaluator(seed=0)
        )
        found = get_param_importances(study, evaluator=evaluator)
    return {str(name): float(value) for name, value in found.items()}
