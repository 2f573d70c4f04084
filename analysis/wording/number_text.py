"""Numbers as text: accuracies in percent, differences in points."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from absgd.records import is_fraction


def score_text(metric: str, value: float, std: float = math.nan) -> str:
    """Format a score, with its standard deviation if there is one: accuracies in percent, losses unscaled.

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
    """Format a difference with its sign and unit.

    >>> difference_text("val_accuracy", -0.013)
    '−1.30 points'
    >>> difference_text("val_accuracy", -1e-9)
    '0.00 points'
    """
    return f"{signed(metric, value)}{' points' if is_fraction(metric) else ''}"


def signed(metric: str, value: float) -> str:
    """Format a difference with its sign, without its unit."""
    if math.isnan(value):
        return "–"
    shown = f"{100 * value:+.2f}" if is_fraction(metric) else f"{value:+.4f}"
    return shown.replace("-", "−") if float(shown) else shown[1:]


def interval_text(metric: str, low: float, high: float) -> str:
    """Format the bounds of an interval.

    >>> interval_text("val_accuracy", -0.001, 0.02)
    '−0.10 to +2.00'
    """
    return "–" if not math.isfinite(low) else f"{signed(metric, low)} to {signed(metric, high)}"


def p_text(value: float) -> str:
    """Format a p-value.

    >>> p_text(0.00002), p_text(0.034)
    ('< 0.001', '0.034')
    """
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def setting_text(value: Any) -> str:
    """Format the value of a setting, numbers to four significant digits.

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
