"""The controls that a winner must beat to be called better: rules of `absgd.records`, applied to its row."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd import records


def base_criteria(winner: pd.Series[Any]) -> tuple[str, ...]:
    """Return cross entropy and, if different, the base criterion that the winner's attention weights multiply."""
    return records.base_criteria(str(winner.get("loss")))


def has_raised_lr(winner: pd.Series[Any]) -> bool:
    """Whether lr / ab_alpha differs from lr."""
    ab_alpha = _ab_alpha(winner)
    return ab_alpha is not None and ab_alpha != 1.0


def deciding_controls(winner: pd.Series[Any]) -> tuple[str, ...]:
    """Return the controls that a configuration must beat to be called better, by `absgd.records.deciding_names`.

    Args:
        winner: with the columns `loss` and `ab_alpha` of its trials.
    """
    return records.deciding_names(str(winner.get("loss")), _ab_alpha(winner))


def _ab_alpha(winner: pd.Series[Any]) -> float | None:
    value = winner.get("ab_alpha")
    return None if pd.isna(value) else float(value)
