"""Frames of the study, made up."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from benchmarks.study.study_results import COMPARED

NAN = math.nan


def study_comparison(
    title: str, finding: str, difference: float, low: float = NAN, high: float = NAN, **other: Any
) -> dict[str, Any]:
    """Return a comparison with a control: difference and interval in points of test balanced accuracy."""
    about = {"search": "digits_imbalanced", "kind": "imbalanced", "dataset": "digits", "control": "ce", "n": 3}
    found = {"difference": difference, "low": low, "high": high, "finding": finding}
    settings = {"lam": 5.0, "lr": 0.05, "weight_decay": 0.005, "class_balance_beta": 0.9999}
    return {**about, "title": title, **found, **settings, **other}


def study_frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return a frame as `comparison_frame` does."""
    return pd.DataFrame(list(rows), columns=COMPARED)
