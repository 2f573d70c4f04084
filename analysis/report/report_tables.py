"""The tables of a report: cells with their text and the value that sorts them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd.counts import plural
from absgd.records import METRIC_TITLES, Verdict, is_fraction
from analysis.frames.run_frames import Row, RunFrames, ScenarioParts, rows_of_frame
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
    metrics = [str(metric) for metric in dict.fromkeys(runs.trials.metric) if not pd.isna(metric)]
    units = "in %, differences in points" if all(is_fraction(metric) for metric in metrics) else "fractions in %"
    names = ", ".join(METRIC_TITLES.get(metric, metric) for metric in metrics)
    text = f"{names[:1].upper()}{names[1:]}, {units}; mean ± standard deviation over n seeds. "
    text += f"Selection rule: {runs.rule.title}, on validation"
    text += f"; test at the {runs.rule.test_title}." if has_test else _why_no_test(runs)
    text = " ".join([text, *coverage_sentences(runs.rows(shown_coverage))])
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
    for own in rows_of_frame(rows):
        key = (own.folder, own.scenario)
        line = [TableCell(str(own.folder))] if several else []
        line += [TableCell(str(own.scenario)), TableCell(outcomes.get(key, "–"))]
        line += [number_cell(str(own.n), own.n), _score(own, "val")]
        line += [_score(own, "test")] if has_test else []
        line += [_gain(compared.rows_of(*key), name) for name in shown_controls]
        values = [setting_cell(getattr(own, name)) for name in settings]
        cells.append((*line, TableCell(str(own.configuration)), *values))
    note = note_of(runs, has_test, bool(comparisons.n.gt(1).any()))
    return ReportTable("Best configurations", note, tuple(columns), tuple(cells), first_setting, 2 if several else 1)


def setting_cell(value: Any) -> TableCell:
    """Return the cell of a setting, sorted by number if it is one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number_cell(setting_text(value), value) if is_number or value is pd.NA else TableCell(setting_text(value))


def _score(row: Row, split: str) -> TableCell:
    mean, std = getattr(row, f"{split}_mean"), getattr(row, f"{split}_std")
    return number_cell(score_text(str(row.metric), mean, std).removesuffix(" %"), mean)


def _gain(comparisons: Sequence[Row], control: str) -> TableCell:
    own = next((row for row in comparisons if row.control == control and row.n > 0), None)
    return TableCell("–", math.nan) if own is None else gain_cell(own)


def gain_cell(row: Any) -> TableCell:
    """Return the cell of a difference with its interval."""
    text = signed(row.metric, row.difference)
    if math.isfinite(row.low):
        text += f" ({interval_text(row.metric, row.low, row.high)})"
    return number_cell(text, row.difference)


_READ = (
    *SCENARIO,
    "configuration",
    "basis",
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
    "lr",
)
"""Columns of `Runs.configurations` that `scenario_table` reads besides varied settings."""


def scenario_table(runs: Runs, comparisons: pd.DataFrame) -> ReportTable:
    """Return confirmed configurations and controls; before confirmation, the best trials of the search.

    Args:
        runs: the runs of one scenario.
        comparisons: the scenario's rows of `Runs.comparisons`.
    """
    rows, varied = runs.rows(_tabled), setting_columns(runs)
    basis = "confirmed" if any(row.basis == "confirmed" for row in rows) else "one seed"
    own = [row for row in rows if row.basis == basis]
    candidates = sorted((row for row in own if not row.is_control and row.n > 0), key=_standing)[:MOST_TRIALS]
    shown = [*candidates, *sorted((row for row in own if row.is_control), key=_place_of_control)]
    settings = [name for name in dict.fromkeys((*varied, "lr")) if any(_is_known(getattr(row, name)) for row in shown)]
    settings = [name for name in settings if name != "loss" or len({row.loss for row in candidates}) > 1]
    has_test = any(_is_known(row.test_mean) for row in shown)
    has_pairs = basis != "confirmed" and any(row.num_pairs > 1 for row in candidates)
    has_differences = basis == "confirmed" and not comparisons.empty
    columns = ["configuration", "n", "validation", *(["gain over pairs"] if has_pairs else [])]
    columns += ["test", f"test ({runs.rule.second_test_short})"] if has_test else []
    columns += ["best minus this", "p", "best is"] if has_differences else []
    first_setting = len(columns)
    columns += map(title_of_parameter, settings)
    cells, compared = [], {str(one.control): one for one in rows_of_frame(comparisons) if one.n > 0}
    for row in shown:
        seeds = str(row.n) if row.is_whole else f"{row.n} of {row.num_seeds}"
        line = [TableCell(_title(row)), number_cell(seeds, row.n), _score(row, "val")]
        line += [_gain_over_pairs(row)] if has_pairs else []
        line += [_score(row, "test"), _score(row, "test_second")] if has_test else []
        line += _difference_cells(compared.get(str(row.configuration)), row) if has_differences else ()
        cells.append((*line, *(setting_cell(getattr(row, name)) for name in settings)))
    what = "Confirmed on fresh seeds" if basis == "confirmed" else _searched_title(candidates)
    note = note_of(runs, has_test, has_differences)
    return ReportTable(what, note, tuple(columns), tuple(cells), first_setting)


def _tabled(runs: RunFrames) -> pd.DataFrame:
    """Return the columns of `RunFrames.configurations` that tables show, with settings that any scenario varied."""
    return runs.configurations[[*dict.fromkeys([*_READ, *setting_columns(runs)])]]


def _standing(row: Row) -> tuple[float | bool, ...]:
    """Return a key that sorts candidates, the best first and missing numbers last."""
    rank = row.rank_mean if row.num_pairs == 1 else row.rank_gain
    lasts = (-rank, row.loss_mean)
    return -row.n, -row.num_pairs, row.num_lost_pairs, *(part for one in lasts for part in (one != one, one))


def _place_of_control(row: Row) -> int:
    order = list(control_titles())
    return order.index(row.configuration) if row.configuration in order else len(order)


def _is_known(value: Any) -> bool:
    return bool(pd.api.types.is_list_like(value) or not pd.isna(value))


def _searched_title(candidates: Sequence[Row]) -> str:
    pairs = max((row.num_pairs for row in candidates), default=1)
    return (
        f"Best trials of the search, over {pairs} pairs of seeds"
        if pairs > 1
        else "Best trials of the search, one seed"
    )


def _gain_over_pairs(row: Row) -> TableCell:
    """Return the mean gain over the plain control of each pair, and the number of pairs behind it."""
    if not row.gain_n:
        return TableCell("–", math.nan)
    metric = str(row.metric)
    return number_cell(f"{difference_text(metric, row.gain_mean)} ({plural(int(row.gain_n), 'pair')})", row.gain_mean)


def _title(row: Row) -> str:
    name = str(row.configuration)
    return f"{title_of_control(name)} ({name})" if row.is_control and title_of_control(name) != name else name


def _difference_cells(one: Any, row: Row) -> tuple[TableCell, ...]:
    """Return the cells of a control's row of `Runs.comparisons`; without one, and for others, they are empty."""
    if not row.is_control or one is None:
        return TableCell("–", math.nan), TableCell("–", math.nan), TableCell("–")
    finding = f"{one.finding} ({one.left})" if one.left in ("cannot win", "diverged", "no score") else str(one.finding)
    return gain_cell(one), number_cell(p_text(one.p_value), one.p_value), TableCell(finding)
