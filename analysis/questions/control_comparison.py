"""Differences between the best configuration and its controls, paired by seed, with findings."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import pandas as pd

from absgd.errors import UserError, nearest, shown
from absgd.records import METRICS
from analysis.frames.configurations import Basis
from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.deciding_controls import deciding_controls
from analysis.questions.paired_statistics import half_width, holm, paired
from analysis.questions.winners import SEEDS, best_rows, control_names, controls_of, trials_of

On = Literal["auto", "test", "validation"]
Finding = Literal["better", "worse", "not distinguishable"]
ALPHA = 0.05
"""Significance level of findings."""


class _Comparison(NamedTuple):
    """A winner against one control, before correction for multiple tests; the fields are the columns of `compare`."""

    folder: str
    run: str
    scenario: str
    configuration: str
    control: str
    decides: bool
    basis: Basis
    on: Literal["test", "validation"]
    metric: str
    rule: str
    n: int
    num_unpaired: int
    mean: float
    control_mean: float
    difference: float
    std: float
    low: float
    high: float
    p_value: float


def compare(runs: RunFrames, control: str | None, on: On) -> pd.DataFrame:
    """Compare the best configuration of each scenario with its controls, paired by seed.

    Confirmed configurations are compared with confirmed controls on the test set, which took no part in the choice;
    before confirmation, the best trial is compared with the control of the search, on validation and from one seed.

    Args:
        runs: the runs.
        control: name of a control, such as `ce` or `ce-lr`; None for all.
        on: `test`, `validation`, or `auto`: test if both sides have it, else validation.

    Returns:
        One row per scenario and control: `folder`, `run`, `scenario`, `configuration`, `control`, `basis`, `on`,
        `metric`, `rule`, `n` (pairs), `num_unpaired` (seeds that only one side has), `mean`, `control_mean` (over the
        pairs), `difference` (positive: the configuration is better), `std`, `low`, `high` (95 % interval, Student's
        t, corrected as `p_finding` is: it leaves out zero exactly where there is a finding), all in units of the
        metric, and `p_value` (two-sided); `p_holm` (corrected by Holm over the scenarios that
        have this control), `num_tests` (the number of them with a p-value), `p_all` and `num_all` (over all scenarios
        and controls); `decides` (whether the configuration must beat this control to be called better), `finding`
        (`better`, `worse` or `not distinguishable`), and the `p_finding` and `num_finding` it is based on.

        Being better than *all* deciding controls needs no correction over them: `p_holm`. Being worse than *any*
        control, or better than one of the others, does: `p_all`.

    Raises:
        UserError: if no scenario has the control, or `on` is not one of the three.
    """
    if on not in get_args(On):
        valid = ", ".join(f"`{name}`" for name in get_args(On))
        raise UserError(f"expected one of {valid}, got {shown(on)}{nearest(on, get_args(On))} (on)")
    configurations = runs.configurations
    winners = best_rows(configurations, SCENARIO)
    rows = []
    for _, winner in winners.iterrows():
        rows += [_compared(runs, winner, name, on) for name in controls_of(configurations, winner)]
    if not any(control in (None, row.control) for row in rows):
        raise UserError(_no_control(configurations, control))
    table = _with_findings(pd.DataFrame(rows))
    return table if control is None else table[table.control == control].reset_index(drop=True)


def no_comparisons() -> pd.DataFrame:
    """Return the result of `compare` where no scenario has a control: its columns without rows."""
    corrected = ("p_holm", "num_tests", "p_all", "num_all", "p_finding", "num_finding", "finding")
    return pd.DataFrame(columns=[*_Comparison._fields, *corrected])


def _with_findings(table: pd.DataFrame) -> pd.DataFrame:
    families = table.groupby("control").p_value
    table["p_holm"] = families.transform(lambda own: holm(own.tolist()))
    table["num_tests"] = families.transform("count").astype("int64")
    table["p_all"] = holm(table.p_value.tolist())
    table["num_all"] = int(table.p_value.count())
    is_gain = table.decides & (table.difference > 0)
    table["p_finding"] = table.p_holm.where(is_gain, table.p_all)
    table["num_finding"] = table.num_tests.where(is_gain, table.num_all)
    table[["low", "high"]] = [corrected_interval(row) for row in table.itertuples(index=False)]
    found = (table.difference > 0).map({True: "better", False: "worse"})
    table["finding"] = found.where(table.p_finding < ALPHA, "not distinguishable")
    return table


def corrected_interval(row: Any) -> tuple[float, float]:
    """Return the interval that leaves out zero exactly where the corrected p-value is below `ALPHA`.

    A correction that multiplies a p-value by m is the same as testing at level `ALPHA` / m, whose interval is that of
    confidence 1 - `ALPHA` / m.

    Args:
        row: a row of `compare` whose `low` and `high` are not corrected.
    """
    if math.isnan(row.low) or not row.std or row.p_finding <= row.p_value:
        return row.low, row.high
    times = row.p_finding / row.p_value if row.p_value else row.num_finding
    half = half_width(row.n, row.std, 1 - ALPHA / times)
    return row.difference - half, row.difference + half


def _compared(runs: RunFrames, winner: pd.Series[Any], control: str, on: On) -> _Comparison:
    ours, theirs = trials_of(runs, winner), trials_of(runs, winner, control)
    pairs = _pairs(ours, theirs)
    has_test = bool(len(pairs)) and bool(pairs[["test", "test_control"]].notna().all(axis=None))
    measured = on if on != "auto" else "test" if has_test else "validation"
    column = "test" if measured == "test" else "score"
    pairs = pairs.dropna(subset=[column, f"{column}_control"])
    sign = -1.0 if METRICS.get(str(winner.metric)) == "min" else 1.0
    found = paired((sign * (pairs[column] - pairs[f"{column}_control"])).tolist())
    return _Comparison(
        folder=winner.folder,
        run=winner.run,
        scenario=winner.scenario,
        configuration=winner.configuration,
        control=control,
        decides=control in deciding_controls(winner),
        basis=winner.basis,
        on=measured,
        metric=winner.metric,
        rule=runs.rule.title,
        n=found.n,
        num_unpaired=len(ours) + len(theirs) - 2 * len(pairs),
        mean=float(pairs[column].mean()),
        control_mean=float(pairs[f"{column}_control"].mean()),
        difference=found.difference,
        std=found.std,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
    )


def _pairs(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    columns = [*SEEDS, "split_hash", "score", "test"]
    known, other = ours[columns].fillna(dict.fromkeys(SEEDS, -1)), theirs[columns].fillna(dict.fromkeys(SEEDS, -1))
    return known.merge(other, on=SEEDS, suffixes=("", "_control"))


def _no_control(configurations: pd.DataFrame, control: str | None) -> str:
    there = control_names(configurations)
    if control is None or not there:
        return "nothing to compare: no scenario has both a finished trial and a finished control"
    return f"no scenario has a control {control!r}{nearest(control, there)}; there are {', '.join(there)}"
