"""The controls that a configuration must beat to be called better."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd.registry.loss_table import base_criterion, is_attentive


def base_criteria(winner: pd.Series[Any]) -> tuple[str, ...]:
    """Return cross entropy and, if different, the base criterion that the winner's attention weights multiply."""
    loss = str(winner.get("loss"))
    base = base_criterion(loss)
    return ("ce", base) if is_attentive(loss) and base != "ce" else ("ce",)


def has_raised_lr(winner: pd.Series[Any]) -> bool:
    """Whether lr / ab_alpha differs from lr."""
    ab_alpha = winner.get("ab_alpha")
    return not pd.isna(ab_alpha) and float(ab_alpha) != 1.0


def deciding_controls(winner: pd.Series[Any]) -> tuple[str, ...]:
    """Return the controls that a configuration must beat to be called better: plain training, at both learning rates.

    The weights of a batch sum to about 1 / ab_alpha, so a gain over plain training at lr may come from the larger
    learning rate alone.

    Args:
        winner: with the columns `loss` and `ab_alpha` of its trials.
    """
    rates = ("", "-lr") if has_raised_lr(winner) else ("",)
    return tuple(criterion + rate for criterion in base_criteria(winner) for rate in rates)
