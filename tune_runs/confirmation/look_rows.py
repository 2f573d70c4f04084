"""The rows of confirmation.parquet: each rival at each look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from absgd.comparisons import PriorVariance
from tune_runs.confirmation.rounds import RivalLook, RoundRules, Rounds

_NUMBERS = ("difference", "std", "df", "low", "high", "p_value")


def look_rows(rounds: Rounds, trial_id: str, scenario: str, metric: str, rules: RoundRules) -> list[dict[str, Any]]:
    """Return one row for each rival at each look until it leaves; numbers that do not exist are None.

    Args:
        rounds: the replayed rounds.
        trial_id: of the subject, in the search.
        scenario: name of the scenario.
        metric: metric of the search.
        rules: the rules that they were replayed under.
    """
    about = {"scenario": scenario, "subject": rounds.subject, "on": "test", "metric": metric}
    prior = rules.prior
    rule = {
        "subject_trial": trial_id,
        "margin": rules.claims.margin,
        "level": rules.claims.level,
        "earlier_variance": prior.variance if prior else None,
        "earlier_df": prior.df if prior else None,
    }
    return [{**about, "look": look.round, **_columns(one), **rule} for look in rounds.looks for one in look.rivals]


def recorded_prior(row: Mapping[str, Any]) -> PriorVariance | None:
    """Return the spread of the search's pairs with which a row was found; None: without any."""
    variance, df = row["earlier_variance"], row["earlier_df"]
    return None if variance is None or df is None else PriorVariance(variance, df)


def _columns(one: RivalLook) -> dict[str, Any]:
    found = one.comparison
    numbers = {name: getattr(found, name) for name in _NUMBERS}
    return {
        "rival": found.rival,
        "n": found.n,
        "num_left_out": one.num_left_out,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "finding": found.finding,
        "left": one.left,
        "pairs_needed": found.pairs_needed,
    }
