"""The rules of claims, the scores they are about, and the comparison with one rival that results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

Scores = Mapping[str, Mapping[int, float]]
"""Candidate -> number of a seed pair -> score, larger is better; runs that were completed only."""
Finding = Literal["better", "worse", "equivalent", "undecided"]
"""The subject against a rival; all but the last are claims."""


@dataclasses.dataclass(frozen=True)
class ClaimRules:
    """When a claim is made, decided before any data is seen."""

    margin: float
    """Differences below it do not matter: the subject is equivalent to a rival if the interval lies within it.

    Positive, in units of the score."""
    level: float = 0.05
    """Largest probability that any claim about any rival of any scenario is wrong."""
    num_scenarios: int = 1
    """Scenarios that share `level` in equal parts."""

    def __post_init__(self) -> None:
        if not (self.margin > 0 and math.isfinite(self.margin)):
            raise ValueError(f"expected a positive margin, got {self.margin}")
        if not 0 < self.level < 1:
            raise ValueError(f"expected a level between 0 and 1, got {self.level}")
        if self.num_scenarios < 1:
            raise ValueError(f"expected at least one scenario, got {self.num_scenarios}")

    @property
    def scenario_level(self) -> float:
        """The part of `level` that one scenario has."""
        return self.level / self.num_scenarios


class RivalComparison(NamedTuple):
    """The subject of a scenario against one rival; NaN where a number cannot be computed."""

    rival: str
    n: int
    """Pairs on which both completed."""
    difference: float
    """Mean over the pairs of the subject's score minus the rival's: positive if the subject is better."""
    std: float
    """Standard deviation of a paired difference, moderated; NaN for one pair."""
    df: float
    """Degrees of freedom of `std`."""
    low: float
    """Lower bound of the interval that belongs to the finding; -inf where the pairs allow none."""
    high: float
    """Upper bound; the interval leaves out zero exactly where `p_value` is below the level of the rules."""
    p_value: float
    """Two-sided, of no difference, corrected for all rivals, scenarios and looks: compare it with the rules' level."""
    finding: Finding
    pairs_needed: int | None
    """About how many more pairs a claim needs with 80 % probability if difference and spread are as they seem; None for
    a claim, for fewer than two pairs, and where a thousand are too few."""
