"""Differences to controls, paired by seed, with intervals and corrected p-values, and what may be said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy import stats

from absgd.errors import UserError, nearest, shown
from absgd.records import METRICS
from analysis.best import best_rows
from analysis.controls import TITLES, deciding_controls
from analysis.frames import SCENARIO

if TYPE_CHECKING:
    from analysis.runs import Runs

On = Literal["auto", "test", "validation"]
Finding = Literal["better", "worse", "not distinguishable"]
LEVEL = 0.95
ALPHA = 0.05
SEEDS = ["seed_data", "seed_train"]


class Paired(NamedTuple):
    """A mean difference and how sure it is; NaN where it cannot be told."""

    n: int
    """Pairs."""
    difference: float
    std: float
    low: float
    """Of the interval."""
    high: float
    p_value: float


def paired(differences: Sequence[float], level: float = LEVEL) -> Paired:
    """Student's t for paired samples.

    One pair has neither interval nor p-value. Nor have pairs whose differences are all the same, but not zero: a spread
    of nought says that the scores are coarse, not that the difference is certain.

    Args:
        differences: of pairs, finite.
        level: of the interval.

    >>> paired([0.01, 0.02, 0.03]).difference
    0.02
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0:
        return Paired(0, *[math.nan] * 5)
    mean = float(values.mean())
    if n == 1:
        return Paired(1, mean, *[math.nan] * 4)
    std = float(values.std(ddof=1))
    if np.ptp(values) <= 1e-12:
        is_zero = abs(mean) <= 1e-12
        return Paired(n, 0.0, 0.0, 0.0, 0.0, 1.0) if is_zero else Paired(n, mean, 0.0, *[math.nan] * 3)
    result = stats.ttest_1samp(values, 0.0)
    low, high = result.confidence_interval(level)
    return Paired(n, mean, std, float(low), float(high), float(result.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's method for as many questions as there are; NaN ones are no questions.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    asked = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for place, (p, index) in enumerate(asked):
        largest = max(largest, min(1.0, p * (len(asked) - place)))
        corrected[index] = largest
    return corrected


def compare(runs: Runs, control: str | None, on: On) -> pd.DataFrame:
    """The best configuration of each scenario beside its controls, paired by seed.

    Confirmed configurations are compared with confirmed controls on the test set, which chose nothing; before
    confirmation, the best trial and the control of the search on validation, from one seed.

    Args:
        runs: the runs.
        control: name of a control, such as `ce` or `ce-lr`; None for all.
        on: `test`, `validation`, or `auto`: test where both sides have it.

    Returns:
        One row per scenario and control: `folder`, `run`, `scenario`, `configuration`, `control`, `basis`, `on`,
        `metric`, `rule`, `n` (pairs), `num_unpaired` (seeds that one of them has alone), `mean`, `control_mean` (over
        the pairs), `difference` (positive: the configuration is better), `std`, `low`, `high` (95 % interval, Student's
        t), `p_value` (two-sided), all in units of the metric; `p_holm` (corrected by Holm over the scenarios that have
        this control), `num_tests` (how many of them have a p-value), `p_all` and `num_all` (over all scenarios and
        controls); `decides` (whether the configuration must beat this control to be called better), `finding`
        (`better`, `worse` or `not distinguishable`), and `p_finding` and `num_finding`, which it rests on.

        To be better than *all* deciding controls needs no correction over them: `p_holm`. To be worse than *any*
        control, or better than one of the others, does: `p_all`.

    Raises:
        UserError: if no scenario has the control, or `on` is none of the three.
    """
    if on not in get_args(On):
        valid = ", ".join(f"`{name}`" for name in get_args(On))
        raise UserError(f"expected a side out of {valid}, got {shown(on)}{nearest(on, get_args(On))} (on)")
    configurations = runs.configurations
    winners = best_rows(configurations, SCENARIO)
    rows = []
    for _, winner in winners.iterrows():
        rows += [_row(runs, winner, name, on) for name in _controls(configurations, winner)]
    if not any(control in (None, row["control"]) for row in rows):
        raise UserError(_no_control(configurations, control))
    table = _with_findings(pd.DataFrame(rows))
    return table if control is None else table[table.control == control].reset_index(drop=True)


def _with_findings(table: pd.DataFrame) -> pd.DataFrame:
    families = table.groupby("control").p_value
    table["p_holm"] = families.transform(lambda own: holm(own.tolist()))
    table["num_tests"] = families.transform("count").astype("int64")
    table["p_all"] = holm(table.p_value.tolist())
    table["num_all"] = int(table.p_value.count())
    is_gain = table.decides & (table.difference > 0)
    table["p_finding"] = table.p_holm.where(is_gain, table.p_all)
    table["num_finding"] = table.num_tests.where(is_gain, table.num_all)
    found = (table.difference > 0).map({True: "better", False: "worse"})
    table["finding"] = found.where(table.p_finding < ALPHA, "not distinguishable")
    return table


def control_names(configurations: pd.DataFrame) -> list[str]:
    """Controls of any scenario, the known ones first."""
    there = configurations.configuration[configurations.is_control & (configurations.n > 0)].unique().tolist()
    known = [name for name in TITLES if name in there]
    return known + [name for name in there if name not in known]


def _controls(configurations: pd.DataFrame, winner: pd.Series[Any]) -> list[str]:
    is_own = (configurations.folder == winner.folder) & (configurations.scenario == winner.scenario)
    return control_names(configurations[is_own & (configurations.basis == winner.basis)])


def trials_of(runs: Runs, winner: pd.Series[Any], control: str | None = None) -> pd.DataFrame:
    """Completed trials of a configuration, or of a control beside it, one for each pair of seeds."""
    trials = runs.scored
    own = trials[(trials.folder == winner.folder) & (trials.scenario == winner.scenario) & trials.score.notna()]
    if winner.basis == "confirmed":
        name = control or winner.configuration
        is_meant = (own.phase == "confirm") & (own.candidate == name)
    elif control is None:
        is_meant = own.trial_id == winner.trial_id
    else:
        is_plain = (own.phase == "control") & (own.loss.fillna("control") == control)
        is_same = is_plain & (own.stage_one_key == winner.stage_one_key)
        is_meant = is_same if is_same.any() else is_plain
    found: pd.DataFrame = own[is_meant].drop_duplicates(SEEDS)
    return found


def _row(runs: Runs, winner: pd.Series[Any], control: str, on: On) -> dict[str, Any]:
    ours, theirs = trials_of(runs, winner), trials_of(runs, winner, control)
    pairs = _pairs(ours, theirs)
    has_test = bool(len(pairs)) and bool(pairs[["test", "test_control"]].notna().all(axis=None))
    measured = on if on != "auto" else "test" if has_test else "validation"
    column = "test" if measured == "test" else "score"
    pairs = pairs.dropna(subset=[column, f"{column}_control"])
    sign = -1.0 if METRICS.get(str(winner.metric)) == "min" else 1.0
    found = paired((sign * (pairs[column] - pairs[f"{column}_control"])).tolist())
    return {
        "folder": winner.folder,
        "run": winner.run,
        "scenario": winner.scenario,
        "configuration": winner.configuration,
        "control": control,
        "decides": control in deciding_controls(winner),
        "basis": winner.basis,
        "on": measured,
        "metric": winner.metric,
        "rule": runs.rule.title,
        "n": found.n,
        "num_unpaired": len(ours) + len(theirs) - 2 * len(pairs),
        "mean": float(pairs[column].mean()),
        "control_mean": float(pairs[f"{column}_control"].mean()),
        **{name: getattr(found, name) for name in ("difference", "std", "low", "high", "p_value")},
    }


def _pairs(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    columns = [*SEEDS, "split_hash", "score", "test"]
    known, other = ours[columns].fillna(dict.fromkeys(SEEDS, -1)), theirs[columns].fillna(dict.fromkeys(SEEDS, -1))
    return known.merge(other, on=SEEDS, suffixes=("", "_control"))


def _no_control(configurations: pd.DataFrame, control: str | None) -> str:
    there = control_names(configurations)
    if control is None or not there:
        return "nothing to compare: no scenario has both a finished trial and a finished control"
    return f"no scenario has a control {control!r}{nearest(control, there)}; there are {', '.join(there)}"
