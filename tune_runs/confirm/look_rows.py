"""The rows of confirmation.parquet: each rival at each look."""

from __future__ import annotations

import math
from typing import Any

from absgd.comparisons import ClaimRules
from tune_runs.confirm.rounds import RivalLook, Rounds

_NUMBERS = ("difference", "std", "df", "low", "high", "p_value")


def look_rows(rounds: Rounds, scenario: str, metric: str, rules: ClaimRules) -> list[dict[str, Any]]:
    """Return one row for each rival at each look until it leaves; numbers that do not exist are None.

    Args:
        rounds: the replayed rounds.
        scenario: name of the scenario.
        metric: metric of the search.
        rules: the rules of the claims.
    """
    about = {"scenario": scenario, "subject": rounds.subject, "on": "test", "metric": metric}
    rule = {"margin": rules.margin, "level": rules.level}
    return [{**about, "look": look.round, **_columns(one), **rule} for look in rounds.looks for one in look.rivals]


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
