"""The plans that are compared."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from benchmarks.complete_curves.pair_replays import DEFAULT_PLAN, ONE_PAIR, TOP_THREE, SeedPlan, by_age


def _other(name: str, **changes: Any) -> SeedPlan:
    """Return the default with changes."""
    return dataclasses.replace(DEFAULT_PLAN, name=name, **changes)


def main_plans() -> list[SeedPlan]:
    """Return the plans that are compared for every number of trials, those with the fewest pairs first."""
    return [
        ONE_PAIR,
        TOP_THREE,
        _other("two pairs", pairs=2),
        _other("three pairs", pairs=3),
        DEFAULT_PLAN,
        _other("no stopping", stopping=None),
    ]


def candidate_plans() -> list[SeedPlan]:
    """Return all plans."""
    return [
        *main_plans(),
        _other("one pair, stopping as in the default", pairs=1),
        _other("none leaves for its mean", standard_errors=math.inf),
        _other("leaves half a standard error behind", standard_errors=0.5),
        _other("leaves 2 standard errors behind", standard_errors=2.0),
        _other("factor 2 between pairs", reduction_factor=2),
        _other("factor 4 between pairs", reduction_factor=4),
        _other("stopping with factor 3 from age 2", stopping=by_age(3, 2)),
        _other("stopping with factor 2 from age 3", stopping=by_age(2, 3)),
        _other("stopping with factor 3 from age 3", stopping=by_age(3, 3)),
        _other("stopping with factor 4 from age 4", stopping=by_age(4, 4)),
        _other("stopping with factor 6 from age 4", stopping=by_age(6, 4)),
        _other("stopping on further pairs too", later_stopping=by_age(2, 4)),
        _other("every other trial begins on the second pair", first_pairs=2),
    ]
