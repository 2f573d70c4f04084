"""Numbers as people read them: accuracies in percent, differences in points."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

METRIC_TITLES = {
    "val_accuracy": "accuracy",
    "val_balanced_accuracy": "balanced accuracy",
    "val_many_accuracy": "accuracy of classes with many images",
    "val_medium_accuracy": "accuracy of classes with medium many images",
    "val_few_accuracy": "accuracy of classes with few images",
    "val_loss": "loss",
}
"""Metric, without where it was measured."""
PARAMETER_TITLES = {
    "lam": "lambda",
    "gamma": "gamma",
    "ab_alpha": "abAlpha",
    "switch_epoch": "switch epoch",
    "lr": "learning rate",
}


def is_fraction(metric: str) -> bool:
    """Whether a metric is shown in percent."""
    return not metric.endswith("loss")


def score_text(metric: str, value: float, std: float = math.nan) -> str:
    """A score in percent, or a loss as it is, with its spread where there is one.

    >>> score_text("val_accuracy", 0.9167, 0.005), score_text("val_loss", 0.3119)
    ('91.67 ± 0.50 %', '0.3119')
    """
    if math.isnan(value):
        return "–"
    if not is_fraction(metric):
        return f"{value:.4f}" + ("" if math.isnan(std) else f" ± {std:.4f}")
    spread = "" if math.isnan(std) else f" ± {100 * std:.2f}"
    return f"{100 * value:.2f}{spread} %"


def difference_text(metric: str, value: float) -> str:
    """A difference in points with its sign.

    >>> difference_text("val_accuracy", -0.013)
    '−1.30 points'
    >>> difference_text("val_accuracy", -1e-9)
    '0.00 points'
    """
    return f"{signed(metric, value)}{' points' if is_fraction(metric) else ''}"


def signed(metric: str, value: float) -> str:
    """A difference with its sign and without its unit."""
    if math.isnan(value):
        return "–"
    shown = f"{100 * value:+.2f}" if is_fraction(metric) else f"{value:+.4f}"
    return shown.replace("-", "−") if float(shown) else shown[1:]


def interval_text(metric: str, low: float, high: float) -> str:
    """The ends of an interval.

    >>> interval_text("val_accuracy", -0.001, 0.02)
    '−0.10 to +2.00'
    """
    return "–" if math.isnan(low) else f"{signed(metric, low)} to {signed(metric, high)}"


def p_text(value: float) -> str:
    """A p-value.

    >>> p_text(0.00002), p_text(0.034)
    ('< 0.001', '0.034')
    """
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def setting_text(value: Any) -> str:
    """The value of a setting, rounded as far as nobody misses it.

    >>> setting_text(5.374136), setting_text(10), setting_text(None)
    ('5.374', '10', '–')
    """
    if pd.api.types.is_list_like(value):
        return ", ".join(map(setting_text, value))
    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def title_of_parameter(column: str) -> str:
    """A setting as the method's papers call it.

    >>> title_of_parameter("lam"), title_of_parameter("|lam|"), title_of_parameter("batch_size")
    ('lambda', '|lambda|', 'batch size')
    """
    if column.startswith("|"):
        return f"|{title_of_parameter(column.strip('|'))}|"
    return PARAMETER_TITLES.get(column, column.replace("_", " ").removeprefix("params/"))


def plural(number: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "seed"), plural(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
