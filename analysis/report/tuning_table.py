"""The table of a scenario's tuned controls."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd.records import METRIC_TITLES
from analysis.report.report_tables import ReportTable, TableCell, number_cell
from analysis.runs import Runs
from analysis.wording.number_text import score_text
from analysis.wording.titles import title_of_control

_COLUMNS = ("control", "best", "its settings", "tried", "stopped early", "epochs", "tuned over")


def tuning_table(runs: Runs) -> ReportTable:
    """Return the search over the settings of each tuned control; without rows where none was tuned.

    Args:
        runs: the runs of one scenario.
    """
    rows = runs.tuned_controls()
    cells = tuple(_cells(row) for _, row in rows.iterrows())
    metric = "" if rows.empty else str(rows.metric.iloc[0])
    title = METRIC_TITLES.get(metric, metric)
    note = f"{title[:1].upper()}{title[1:]} on validation after the last epoch, on the first pair of seeds."
    return ReportTable("Tuned controls", note, _COLUMNS, cells)


def _cells(row: pd.Series[Any]) -> tuple[TableCell, ...]:
    name = str(row.control)
    return (
        TableCell(f"{title_of_control(name)} ({name})"),
        number_cell(score_text(str(row.metric), row.val_best), row.val_best),
        TableCell(str(row.settings) or "–"),
        number_cell(str(row.num_tried), row.num_tried),
        number_cell(str(row.num_stopped), row.num_stopped),
        number_cell(f"{row.epochs:,}", row.epochs),
        TableCell(str(row.ranges) or "nothing of its own"),
    )
