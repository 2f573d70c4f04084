"""What controls are called, and which of them a gain must stand against."""

from __future__ import annotations

from typing import Any

import pandas as pd

AT_RAISED_LR = " at lr / ab_alpha"
_CRITERIA = {
    "ce": "plain cross entropy",
    "focal": "focal loss",
    "ldam": "LDAM",
    "sce": "symmetric cross entropy",
    "tce": "truncated cross entropy",
}
TITLES = {
    "ce": _CRITERIA["ce"],
    "ce-lr": _CRITERIA["ce"] + AT_RAISED_LR,
    "ce-tau": "plain cross entropy with class_tau",
    "cb-ce-drw": "deferred class-balanced cross entropy",
    "ldam-drw": "deferred LDAM",
    "focal": _CRITERIA["focal"],
    "balanced-softmax": "balanced softmax",
    **{name: title for name, title in _CRITERIA.items() if name not in ("ce", "focal")},
    **{f"{name}-lr": title + AT_RAISED_LR for name, title in _CRITERIA.items() if name != "ce"},
}
"""Controls of a confirmation, in the order in which they are told."""


PLAIN = ("ce", "ce-lr")
"""Plain training at both learning rates: what tables and figures show first."""


def title_of(configuration: str) -> str:
    """A control in words, anything else as it is."""
    return TITLES.get(configuration, configuration)


def base_criteria(winner: pd.Series[Any]) -> tuple[str, ...]:
    """Cross entropy and, where that is another one, the criterion that the winner's attention weights stand over."""
    loss = str(winner.get("loss"))
    base = loss.removeprefix("ab")
    return ("ce", base) if loss.startswith("ab") and base != "ce" else ("ce",)


def is_raised(winner: pd.Series[Any]) -> bool:
    """Whether lr / ab_alpha is another learning rate than lr."""
    ab_alpha = winner.get("ab_alpha")
    return not pd.isna(ab_alpha) and float(ab_alpha) != 1.0


def deciding_controls(winner: pd.Series[Any]) -> tuple[str, ...]:
    """Controls that a configuration must beat to be called better: plain training, at both learning rates.

    The weights of a batch sum to about 1 / ab_alpha, so that a gain over plain training at lr may be the larger
    learning rate alone.

    Args:
        winner: with the columns `loss` and `ab_alpha` of its trials.
    """
    rates = ("", "-lr") if is_raised(winner) else ("",)
    return tuple(criterion + rate for criterion in base_criteria(winner) for rate in rates)
