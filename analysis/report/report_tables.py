"""The tables of a report: cells with their text and the value that sorts them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd.counts import plural
from absgd.records import METRIC_TITLES, Verdict, is_fraction
from analysis.frames.run_frames import ScenarioParts
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.best_configurations import setting_columns
from analysis.questions.class_coverage import coverage_sentences, shown_coverage
from analysis.runs import Runs
from analysis.wording.number_text import (
    difference_text,
    interval_text,
    p_text,
    score_text,
    setting_text,
    signed,
)
from analysis.wording.titles import (
    PLAIN_CONTROLS,
    control_titles,
    title_of_control,
    title_of_parameter,
)

MOST_TRIALS = 10
"""Number of search trials in a scenario's table."""
MOST_COLUMNS = 9
"""Number of columns that a page of 1280 pixels shows without scrolling."""


@dataclasses.dataclass(frozen=True)
class TableCell:
    """One cell of a table."""

    text: str
    value: float | str | None = None
    """Sort key within the column; None: the text."""


@dataclasses.dataclass(frozen=True)
class ReportTable:
    """Columns and rows with a title and a note."""

    title: str
    note: str
    """The metric, its units and the selection rule."""
    columns: tuple[str, ...]
    """Headers."""
    rows: tuple[tuple[TableCell, ...], ...]
    first_setting: int | None = None
    """Place of the first column with a setting; None: there is none."""
    num_names: int = 1
    """Number of columns that name a row."""

    def parts(self) -> tuple[ReportTable, ...]:
        """Return the table, or where it is too wide for a page, results and settings as two tables."""
        at = self.first_setting
        if at is None or len(self.columns) <= MOST_COLUMNS:
            return (self,)
        names = self.num_names
        settings = ReportTable(
            title="Their settings",
            note="",
            columns=(*self.columns[:names], *self.columns[at:]),
            rows=tuple((*row[:names], *row[at:]) for row in self.rows),
        )
        results = dataclasses.replace(
            self, columns=self.columns[:at], rows=tuple(row[:at] for row in self.rows), first_setting=None
        )
        return results, settings

    def is_numeric(self, column: int) -> bool:
        """Whether every cell of a column is sorted by a number; such columns are aligned right."""
        return bool(self.rows) and all(isinstance(row[column].value, float) for row in self.rows)


def number_cell(text: str, value: Any) -> TableCell:
    """Return a cell sorted by its number; without one it comes last."""
    is_missing = value is None or pd.isna(value)
    return TableCell(text, math.nan if is_missing else float(value))


def note_of(runs: Runs, has_test: bool, has_intervals: bool) -> str:
    """Return the note of a table: metric, unit and selection rule."""
    metrics = [str(metric) for metric in runs.trials.metric.dropna().unique()]
    units = "in %, differences in points" if all(is_fraction(metric) for metric in metrics) else "fractions in %"
    names = ", ".join(METRIC_TITLES.get(metric, metric) for metric in metrics)
    text = f"{names[:1].upper()}{names[1:]}, {units}; mean ± standard deviation over n seeds. "
    text += f"Selection rule: {runs.rule.title}, on validation"
    text += f"; test at the {runs.rule.test_title}." if has_test else _why_no_test(runs)
    text = " ".join([text, *coverage_sentences(runs.cut(shown_coverage))])
    return text + (f" {_INTERVALS}" if has_intervals else "")


_INTERVALS = "95 % intervals and p-values: paired by seed, corrected for all controls, scenarios and looks."


def _why_no_test(runs: Runs) -> str:
    if runs.trials[["test_accuracy", "test_loss"]].notna().any(axis=None):
        return f"; the test set was read, but has no such metric at the {runs.rule.test_title}."
    return "; the test set was not read."


def overview(runs: Runs, verdicts: Sequence[Verdict], comparisons: pd.DataFrame) -> ReportTable:
    """Return one row per scenario of a folder: its best configuration, and its gain over plain cross entropy."""
    rows = runs.best([*SCENARIO])
    settings = [name for name in setting_columns(runs) if rows[name].notna().any()]
    outcomes = {(one.folder, one.scenario): one.outcome for one in verdicts}
    several = len(set(runs.trials.folder)) > 1
    shown_controls = [name for name in PLAIN_CONTROLS if name in set(comparisons.control)]
    has_test = bool(rows.test_mean.notna().any())
    columns = [*(["run"] if several else []), "scenario", "verdict", "n", "validation"]
    columns += ["test"] if has_test else []
    columns += [f"gain over {name}" for name in shown_controls]
    columns += ["best"]
    first_setting = len(columns)
    columns += map(title_of_parameter, settings)
    cells, compared = [], ScenarioParts(comparisons)
    for own in rows.to_dict("records"):
        key = (own["folder"], own["scenario"])
        line = [TableCell(str(own["folder"]))] if several else []
        line += [TableCell(str(own["scenario"])), TableCell(outcomes.get(key, "–"))]
        line += [number_cell(str(own["n"]), own["n"]), _score(own, "val")]
        line += [_score(own, "test")] if has_test else []
        line += [_gain(compared.of(*key), name) for name in shown_controls]
        cells.append((*line, TableCell(str(own["configuration"])), *(setting_cell(own[name]) for name in settings)))
    note = note_of(runs, has_test, bool(comparisons.n.gt(1).any()))
    return ReportTable("Best configurations", note, tuple(columns), tuple(cells), first_setting, 2 if several else 1)


def setting_cell(value: Any) -> TableCell:
    """Return the cell of a setting, sorted by number if it is one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number_cell(setting_text(value), value) if is_number or value is pd.NA else TableCell(setting_text(value))


def _score(row: Any, split: str) -> TableCell:
    mean, std = float(row[f"{split}_mean"]), float(row[f"{split}_std"])
    return number_cell(score_text(str(row["metric"]), mean, std).removesuffix(" %"), mean)


def _gain(comparisons: pd.DataFrame, control: str) -> TableCell:
    own = comparisons[(comparisons.control == control) & (comparisons.n > 0)]
    return TableCell("–", math.nan) if own.empty else gain_cell(own.iloc[0])


def gain_cell(row: Any) -> TableCell:
    """Return the cell of a difference with its interval."""
    text = signed(row.metric, row.difference)
    if math.isfinite(row.low):
        text += f" ({interval_text(row.metric, row.low, row.high)})"
    return number_cell(text, row.difference)


_READ = (
    "configuration",
    "is_control",
    "metric",
    "n",
    "num_seeds",
    "is_whole",
    "num_pairs",
    "num_lost_pairs",
    "gain_n",
    "gain_mean",
    "rank_mean",
    "rank_gain",
    "loss_mean",
    "val_mean",
    "val_std",
    "test_mean",
    "test_std",
    "test_second_mean",
    "test_second_std",
)
"""Columns of `Runs.configurations` that `scenario_table` reads besides settings."""


def scenario_table(runs: Runs, comparisons: pd.DataFrame) -> ReportTable:
    """Return confirmed configurations and controls; before confirmation, the best trials of the search.

    Args:
        runs: the runs of one scenario.
        comparisons: the scenario's rows of `Runs.comparisons`.
    """
    frame, varied = runs.configurations, setting_columns(runs)
    basis = "confirmed" if (frame.basis == "confirmed").any() else "one seed"
    frame = frame.loc[frame.basis == basis, [*dict.fromkeys([*_READ, *varied, "lr"])]]
    ranked = frame.assign(ranks=frame.rank_mean.where(frame.num_pairs == 1, frame.rank_gain))
    candidates = ranked[~ranked.is_control].sort_values(
        ["n", "num_pairs", "num_lost_pairs", "ranks", "loss_mean"],
        ascending=[False, False, True, False, True],
        kind="stable",
    )
    candidates = candidates[candidates.n > 0].head(MOST_TRIALS)
    controls = frame[frame.is_control]
    controls = controls.sort_values("configuration", key=_place_of_controls, kind="stable")
    shown = pd.concat([candidates, controls])
    settings = [name for name in (*varied, "lr") if shown[name].notna().any()]
    settings = [name for name in dict.fromkeys(settings) if name != "loss" or len(set(candidates.loss)) > 1]
    has_test = bool(shown.test_mean.notna().any())
    has_pairs = basis != "confirmed" and bool((candidates.num_pairs > 1).any())
    has_differences = basis == "confirmed" and not comparisons.empty
    columns = ["configuration", "n", "validation", *(["gain over pairs"] if has_pairs else [])]
    columns += ["test", f"test ({runs.rule.second_test_short})"] if has_test else []
    columns += ["best minus this", "p", "best is"] if has_differences else []
    first_setting = len(columns)
    columns += map(title_of_parameter, settings)
    cells, compared = [], {str(one.control): one for one in comparisons[comparisons.n > 0].itertuples()}
    for _, row in shown.iterrows():
        seeds = str(row.n) if row.is_whole else f"{row.n} of {row.num_seeds}"
        line = [TableCell(_title(row)), number_cell(seeds, row.n), _score(row, "val")]
        line += [_gain_over_pairs(row)] if has_pairs else []
        line += [_score(row, "test"), _score(row, "test_second")] if has_test else []
        line += _difference_cells(compared.get(str(row.configuration)), row) if has_differences else ()
        cells.append((*line, *(setting_cell(row[name]) for name in settings)))
    what = "Confirmed on fresh seeds" if basis == "confirmed" else _searched_title(candidates)
    note = note_of(runs, has_test, has_differences)
    return ReportTable(what, note, tuple(columns), tuple(cells), first_setting)


def _searched_title(candidates: pd.DataFrame) -> str:
    pairs = int(candidates.num_pairs.max()) if len(candidates) else 1
    return (
        f"Best trials of the search, over {pairs} pairs of seeds"
        if pairs > 1
        else "Best trials of the search, one seed"
    )


def _gain_over_pairs(row: pd.Series[Any]) -> TableCell:
    """Return the mean gain over the plain control of each pair, and the number of pairs behind it."""
    if not row.gain_n:
        return TableCell("–", math.nan)
    metric = str(row.metric)
    return number_cell(f"{difference_text(metric, row.gain_mean)} ({plural(int(row.gain_n), 'pair')})", row.gain_mean)


def _title(row: pd.Series[Any]) -> str:
    name = str(row.configuration)
    return f"{title_of_control(name)} ({name})" if row.is_control and title_of_control(name) != name else name


def _place_of_controls(names: pd.Series[str]) -> pd.Series[int]:
    order = {name: place for place, name in enumerate(control_titles())}
    return names.map(lambda name: order.get(name, len(order)))


def _difference_cells(one: Any, row: pd.Series[Any]) -> tuple[TableCell, ...]:
    """Return the cells of a control's row of `Runs.comparisons`; without one, and for others, they are empty."""
    if not row.is_control or one is None:
        return TableCell("–", math.nan), TableCell("–", math.nan), TableCell("–")
    finding = f"{one.finding} ({one.left})" if one.left in ("cannot win", "diverged", "no score") else str(one.finding)
    return gain_cell(one), number_cell(p_text(one.p_value), one.p_value), TableCell(finding)
