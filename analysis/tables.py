"""Tables of a report: cells with what is shown and what is sorted by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.best import best, setting_columns
from analysis.controls import PLAIN, TITLES, title_of
from analysis.frames import SCENARIO
from analysis.numbers import (
    METRIC_TITLES,
    interval_text,
    is_fraction,
    p_text,
    score_text,
    setting_text,
    signed,
    title_of_parameter,
)

if TYPE_CHECKING:
    from analysis.runs import Runs
    from analysis.verdict import Verdict

MOST_TRIALS = 10
"""Search trials in a scenario's table."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """What stands in a table."""

    text: str
    value: float | str | None = None
    """What the column is sorted by; None: the text."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns and rows, with what they are of."""

    title: str
    note: str
    """The metric, its units and the selection rule."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def number(text: str, value: Any) -> Cell:
    """A cell that is sorted by its number; one without a number comes last."""
    is_missing = value is None or pd.isna(value)
    return Cell(text, math.nan if is_missing else float(value))


def note_of(runs: Runs, has_test: bool, has_intervals: bool) -> str:
    """What every table says: metric, unit and selection rule."""
    metrics = [str(metric) for metric in runs.trials.metric.dropna().unique()]
    units = "in %, differences in points" if all(is_fraction(metric) for metric in metrics) else "fractions in %"
    names = ", ".join(METRIC_TITLES.get(metric, metric) for metric in metrics)
    text = f"{names[:1].upper()}{names[1:]}, {units}; mean ± standard deviation over n seeds. "
    text += f"Selection rule: {runs.rule.title}, on validation"
    text += f"; test at the {runs.rule.test_title}." if has_test else _why_no_test(runs)
    return text + (" Intervals: 95 %, paired by seed; p-values corrected by Holm." if has_intervals else "")


def _why_no_test(runs: Runs) -> str:
    if runs.trials[["test_accuracy", "test_loss"]].notna().any(axis=None):
        return f"; the test set was read, but has no such metric at the {runs.rule.test_title}."
    return "; the test set was not read."


def overview(runs: Runs, verdicts: Sequence[Verdict], comparisons: pd.DataFrame) -> Table:
    """One row per scenario of a folder: its best configuration, and its gain over plain cross entropy."""
    rows = best(runs, [*SCENARIO])
    settings = [name for name in setting_columns(runs) if rows[name].notna().any()]
    outcomes = {(one.folder, one.scenario): one.outcome for one in verdicts}
    several = len(set(runs.trials.folder)) > 1
    shown_controls = [name for name in PLAIN if name in set(comparisons.control)]
    has_test = bool(rows.test_mean.notna().any())
    columns = [*(["run"] if several else []), "scenario", "verdict", "n", "validation"]
    columns += ["test"] if has_test else []
    columns += [f"gain over {name}" for name in shown_controls]
    columns += ["best", *map(title_of_parameter, settings)]
    cells = []
    for own in rows.to_dict("records"):
        key = (own["folder"], own["scenario"])
        line = [Cell(str(own["folder"]))] if several else []
        line += [Cell(str(own["scenario"])), Cell(outcomes.get(key, "–"))]
        line += [number(str(own["n"]), own["n"]), _score(own, "val")]
        line += [_score(own, "test")] if has_test else []
        line += [_gain(comparisons, key, name) for name in shown_controls]
        cells.append((*line, Cell(str(own["configuration"])), *(setting_cell(own[name]) for name in settings)))
    note = note_of(runs, has_test, bool(comparisons.n.gt(1).any()))
    return Table("Best configurations", note, tuple(columns), tuple(cells))


def setting_cell(value: Any) -> Cell:
    """A setting, sorted as a number where it is one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(setting_text(value), value) if is_number or value is pd.NA else Cell(setting_text(value))


def _score(row: Any, side: str) -> Cell:
    mean, std = float(row[f"{side}_mean"]), float(row[f"{side}_std"])
    return number(score_text(str(row["metric"]), mean, std).removesuffix(" %"), mean)


def _gain(comparisons: pd.DataFrame, key: tuple[str, str], control: str) -> Cell:
    own = comparisons[(comparisons.folder == key[0]) & (comparisons.scenario == key[1])]
    own = own[(own.control == control) & (own.n > 0)]
    return Cell("–", math.nan) if own.empty else gain_cell(own.iloc[0])


def gain_cell(row: pd.Series[Any]) -> Cell:
    """A difference with its interval."""
    text = signed(row.metric, row.difference)
    if not math.isnan(row.low):
        text += f" ({interval_text(row.metric, row.low, row.high)})"
    return number(text, row.difference)


def scenario_table(runs: Runs, comparisons: pd.DataFrame) -> Table:
    """Confirmed configurations beside controls, or before confirmation the best trials of the search.

    Args:
        runs: of one scenario.
        comparisons: rows of `Runs.comparisons` of it.
    """
    frame = runs.configurations
    basis = "confirmed" if (frame.basis == "confirmed").any() else "one seed"
    frame = frame[frame.basis == basis]
    candidates = frame[~frame.is_control].sort_values(
        ["n", "rank_mean", "loss_mean"], ascending=[False, False, True], kind="stable"
    )
    candidates = candidates[candidates.n > 0].head(MOST_TRIALS)
    controls = frame[frame.is_control]
    controls = controls.sort_values("configuration", key=_place_of_controls, kind="stable")
    shown = pd.concat([candidates, controls])
    settings = [name for name in (*setting_columns(runs), "lr") if shown[name].notna().any()]
    settings = [name for name in dict.fromkeys(settings) if name != "loss" or len(set(candidates.loss)) > 1]
    has_test = bool(shown.test_mean.notna().any())
    has_differences = basis == "confirmed" and not comparisons.empty
    columns = ["configuration", "n", "validation"]
    columns += ["test", f"test ({runs.rule.second_test_short})"] if has_test else []
    columns += ["best minus this", "p"] if has_differences else []
    columns += map(title_of_parameter, settings)
    cells = []
    for _, row in shown.iterrows():
        seeds = str(row.n) if row.is_whole else f"{row.n} of {row.num_seeds}"
        line = [Cell(_title(row)), number(seeds, row.n), _score(row, "val")]
        line += [_score(row, "test"), _score(row, "test_second")] if has_test else []
        line += _difference_cells(comparisons, row) if has_differences else ()
        cells.append((*line, *(setting_cell(row[name]) for name in settings)))
    what = "Confirmed on fresh seeds" if basis == "confirmed" else "Best trials of the search, one seed"
    return Table(what, note_of(runs, has_test, has_differences), tuple(columns), tuple(cells))


def _title(row: pd.Series[Any]) -> str:
    name = str(row.configuration)
    return f"{title_of(name)} ({name})" if row.is_control and title_of(name) != name else name


def _place_of_controls(names: pd.Series[str]) -> pd.Series[int]:
    order = {name: place for place, name in enumerate(TITLES)}
    return names.map(lambda name: order.get(name, len(order)))


def _difference_cells(comparisons: pd.DataFrame, row: pd.Series[Any]) -> tuple[Cell, Cell]:
    own = comparisons[(comparisons.control == row.configuration) & (comparisons.n > 0)]
    if not row.is_control or own.empty:
        return Cell("–", math.nan), Cell("–", math.nan)
    return gain_cell(own.iloc[0]), number(p_text(own.iloc[0].p_finding), own.iloc[0].p_finding)
