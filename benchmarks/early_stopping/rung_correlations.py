"""Rank correlations of the values compared at a rung with the metric at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from scipy.stats import spearmanr

from absgd import records
from benchmarks.complete_curves.curve_tables import SeedCurves
from benchmarks.complete_curves.search_replay import stopping_under
from benchmarks.early_stopping.rule_replays import BY_AGE
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import EarlyStoppingConfig
from tune_runs.stopping.rungs import EarlyStopping, early_stopping
from tune_runs.stopping.stopping_rules import ScenarioStopping


def rung_correlations(cell: SeedCurves) -> list[dict[str, Any]]:
    """Return how well the values at each rung rank the trials as their ends do, when no trial is stopped."""
    latest = early_stopping(cell.space).latest_switch or 0
    curves = {str(curve.number): curve for curve in cell.curves}
    rows = []
    for name, stopping in _rungs_to_rank(cell.space):
        judge = ScenarioStopping(stopping, records.METRICS[cell.space.objective.first], cell.control.get)
        for number, curve in curves.items():
            for epoch, value in curve.by_epoch.items():
                judge.falls_behind(number, curve.switch, epoch, value)
        for rung, scores in judge.scores.items():
            for against, epochs in (("last", 1), ("last_three", 3)):
                ends = [cell.sign * curves[number].end(epochs) for number in scores]
                rows.append(
                    {
                        "rule": name,
                        "rung": rung.at - latest if rung.unit == "epochs" else rung.at,
                        "scenario": cell.scenario,
                        "seed": cell.seed,
                        "against": against,
                        "trials": len(scores),
                        "rank_correlation": float(spearmanr(list(scores.values()), ends).statistic),
                    }
                )
    return rows


def _rungs_to_rank(space: SearchSpace) -> Iterator[tuple[str, EarlyStopping]]:
    """Yield rungs at 1, 2, 4, ... and 3, 6, 12, ... epochs; by epoch they count from the latest switch."""
    yield "asha", stopping_under(space, EarlyStoppingConfig(rule="asha", reduction_factor=2))
    for grace in (1, 3):
        stopping = stopping_under(space, EarlyStoppingConfig(rule="age", reduction_factor=2, grace_period=grace))
        for rule in BY_AGE:
            name = "age_then_epoch, by age" if rule == "age_then_epoch" else rule
            yield name, dataclasses.replace(stopping, rule=rule)
