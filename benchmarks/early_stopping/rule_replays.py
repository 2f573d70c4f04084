"""Every candidate rule of early stopping replayed on complete curves: its cost and its regret."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.complete_curves.curve_tables import SeedCurves, TrialCurve
from benchmarks.complete_curves.plain_asha import AshaClock
from benchmarks.complete_curves.search_replay import (
    ReplayedSearch,
    kept_trial,
    replay_ours,
    replay_plain,
    stopping_under,
)
from tune_runs.space.space_sections import EarlyStoppingConfig, StoppingRule

PLAIN = "plain way"
PLAIN_CLOCK: AshaClock = "since_switch"
BY_AGE: tuple[StoppingRule, ...] = ("age", "advantage", "mean_advantage", "age_then_epoch")
SIZES = (32, 48)
AT_ONCE = (1, 4)


def candidate_rules() -> dict[str, EarlyStoppingConfig | None]:
    """Return the settings of early stopping to compare, by name."""
    every: dict[str, EarlyStoppingConfig | None] = {"none": None}
    for grace in (1, 2, 3):
        every[f"median, from {grace}"] = EarlyStoppingConfig(rule="median", grace_period=grace)
    for factor in (2, 3, 4):
        every[f"asha, {factor}"] = EarlyStoppingConfig(rule="asha", reduction_factor=factor)
        for rule in BY_AGE:
            for grace in (1, 2, 3):
                config = EarlyStoppingConfig(rule=rule, reduction_factor=factor, grace_period=grace)
                every[f"{rule}, {factor}, from {grace}"] = config
    return every


def replay_rules(cell: SeedCurves, elsewhere: Mapping[int, float], orders: int) -> list[dict[str, Any]]:
    """Replay every candidate on one cell; return rows with means over the orders.

    Args:
        cell: the curves.
        elsewhere: mean of each configuration's last value over the other seeds.
        orders: random orders of arrival, the same for every candidate.
    """
    rules = {name: stopping_under(cell.space, config) for name, config in candidate_rules().items()}
    switches = [curve.switch for curve in cell.curves]
    rows = []
    for size, at_once in itertools.product(SIZES, AT_ONCE):
        source = random.Random(f"{cell.scenario} {cell.seed} {size} {at_once}")
        arrivals = [source.sample(cell.curves, size) for _ in range(orders)]
        plain = [replay_plain(cell, order, at_once, PLAIN_CLOCK) for order in arrivals]
        keys = {"scenario": cell.scenario, "seed": cell.seed, "num_trials": size, "at_once": at_once}
        rows.append({"rule": PLAIN, **keys, **rule_means(cell, arrivals, plain, plain, elsewhere)})
        for name, stopping in rules.items():
            searches = [replay_ours(cell, order, at_once, stopping) for order in arrivals]
            found = rule_means(cell, arrivals, plain, searches, elsewhere)
            if stopping.is_modelled:
                found["expected_epochs"] = cell.space.epochs + stopping.expected_epochs(size, switches)
            rows.append({"rule": name, **keys, **found})
    return rows


def rule_means(
    cell: SeedCurves,
    arrivals: Sequence[Sequence[TrialCurve]],
    plain: Sequence[ReplayedSearch],
    searches: Sequence[ReplayedSearch],
    elsewhere: Mapping[int, float],
) -> dict[str, float]:
    """Compare searches with the plain ones and with no stopping; means over the orders.

    Args:
        cell: the curves.
        arrivals: trials of each search in order of arrival.
        plain: the plain search of each order.
        searches: the search under one rule of each order.
        elsewhere: as for `replay_rules`.
    """
    without = [kept_trial(cell, [curve for curve in order if cell.is_complete(curve)]) for order in arrivals]
    ours = [kept_trial(cell, search.completed) for search in searches]
    best = [max(cell.sign * elsewhere[curve.number] for curve in order) for order in arrivals]
    regrets = [cell.sign * (one.end() - our.end()) for one, our in zip(without, ours, strict=True)]
    true = [cell.sign * (elsewhere[a.number] - elsewhere[b.number]) for a, b in zip(without, ours, strict=True)]
    return {
        "epochs": statistics.fmean(search.epochs for search in searches),
        "fewer": statistics.fmean(a.epochs / b.epochs for a, b in zip(plain, searches, strict=True)),
        "completed": statistics.fmean(len(search.completed) for search in searches),
        "regret": statistics.fmean(regrets),
        "regret_p90": statistics.quantiles(regrets, n=10)[-1],
        "true_regret": statistics.fmean(true),
        "below_best": statistics.fmean(
            one - cell.sign * elsewhere[our.number] for one, our in zip(best, ours, strict=True)
        ),
    }
