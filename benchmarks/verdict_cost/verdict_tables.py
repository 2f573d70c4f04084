"""Tables of the ways to a verdict as lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks.verdict_cost.verdict_rates import GAPS


def cost_table(rows: pd.DataFrame) -> Iterator[str]:
    """Format the ways of each scenario: epochs and right verdicts at each gap."""
    gaps = " / ".join(f"{gap:g}" for gap in GAPS)
    yield f"| scenario | way | gain, points | search | search and verdict, epochs at {gaps} sd | CPU minutes | right |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for (scenario, way), own in rows.groupby(["scenario", "way"], sort=False):
        one = own.iloc[0]
        yield (
            f"| {scenario} | {way} | {100 * one.gain:.2f} ± {100 * one.gain_error:.2f} | {one.search_epochs:.0f} "
            f"| {_listed(own.epochs, '.0f')} | {_listed(own.processor_s / 60, '.1f')} | {_listed(own.right, '.2f')} |"
        )


def summary_table(rows: pd.DataFrame) -> Iterator[str]:
    """Format means over the scenarios; epochs as shares of the script's."""
    script = rows[rows.way == "script"].set_index(["scenario", "gap"]).epochs
    gaps = " / ".join(f"{gap:g}" for gap in GAPS)
    yield f"| way | gain, points | epochs of the script's, at {gaps} sd | right at {gaps} sd |"
    yield "|---|---:|---:|---:|"
    for way, own in rows.groupby("way", sort=False):
        share = (own.set_index(["scenario", "gap"]).epochs / script).groupby("gap").mean()
        yield (
            f"| {way} | {100 * own.gain.mean():.2f} | {_listed(share, '.2f')} "
            f"| {_listed(own.groupby('gap').right.mean(), '.2f')} |"
        )


def _listed(values: pd.Series[Any], form: str) -> str:
    return " / ".join(format(value, form) for value in values)
