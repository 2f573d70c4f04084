"""The table of a scenario's kept predictions: calibration, F1, recalls, and differences over images and seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from absgd.records import CALIBRATION_BINS, FEW_BELOW, MANY_ABOVE
from analysis.report.report_tables import ReportTable, TableCell, number_cell
from analysis.runs import Runs
from analysis.wording.number_text import interval_text, score_text, signed
from analysis.wording.titles import title_of_control

FEWEST_SEEDS = 3
"""Pairs from which an interval is shown: fewer, drawn again, say little about others."""
_COLUMNS = {
    "loss": "negative log-likelihood",
    "calibration_error": "calibration error",
    "macro_f1": "macro-F1",
    "worst_recall": "worst recall",
    "many_accuracy": "many",
    "medium_accuracy": "medium",
    "few_accuracy": "few",
}
"""Column of `Runs.prediction_numbers` -> header."""
_WITH_SPREAD = ("loss", "calibration_error", "macro_f1", "worst_recall")
"""Columns with a standard deviation; more would be wider than a page."""
_METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "loss": "negative log-likelihood"}


def prediction_table(runs: Runs) -> ReportTable | None:
    """Return the numbers of the winner's and the controls' predictions; None where none are kept.

    Args:
        runs: the runs of one scenario.
    """
    if not runs.prediction_outcomes.runs:
        return None
    on = runs.prediction_outcomes.on
    numbers = runs.prediction_numbers()
    numbers = numbers[numbers.split == on]
    if numbers.empty:
        return None
    differences = runs.image_differences().set_index("control")
    shown = [name for name in _COLUMNS if numbers[name].notna().any()]
    columns = ["configuration", "n", *(_COLUMNS[name] for name in shown)]
    columns += ["best minus this"] if len(differences) else []
    rows = []
    for name, own in numbers.groupby("configuration", sort=False):
        line = [TableCell(title_of_control(str(name))), number_cell(str(len(own)), len(own))]
        line += [_mean_cell(own, column) for column in shown]
        line += [_difference_cell(differences, str(name))] if len(differences) else []
        rows.append(tuple(line))
    return ReportTable(f"Predictions on {on}", _note(on, shown, differences), tuple(columns), tuple(rows))


def _mean_cell(own: pd.DataFrame, column: str) -> TableCell:
    mean, std = float(own[column].mean()), float(own[column].std()) if column in _WITH_SPREAD else math.nan
    return number_cell(score_text(column, mean, std).removesuffix(" %"), mean)


def _difference_cell(differences: pd.DataFrame, control: str) -> TableCell:
    if control not in differences.index:
        return TableCell("–", math.nan)
    row = differences.loc[control].to_dict()
    metric, value = str(row["metric"]), float(row["difference"])
    has_interval = row["n"] >= FEWEST_SEEDS
    interval = f" ({interval_text(metric, row['low'], row['high'])})" if has_interval else ""
    return number_cell(f"{signed(metric, value)}{interval}", value)


def _note(on: str, shown: Sequence[str], differences: pd.DataFrame) -> str:
    text = "In %, but for the negative log-likelihood; mean ± standard deviation over n seeds. "
    text += f"Calibration error: expected, over {CALIBRATION_BINS} bins. Worst recall: that of the worst class."
    if any(name in shown for name in ("many_accuracy", "medium_accuracy", "few_accuracy")):
        text += f" Many, medium, few: mean recall of classes with more than {MANY_ABOVE}, {FEW_BELOW} to {MANY_ABOVE}, "
        text += f"fewer than {FEW_BELOW} training images."
    if len(differences):
        name = _METRICS[str(differences.metric.iloc[0])]
        text += f" Best minus this: {name}; from {FEWEST_SEEDS} seeds on with a 95 % interval that resamples "
        text += f"the {on} images and the seeds. It is not corrected for several controls, and no verdict uses it."
    return text
