"""About how many more pairs a claim needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from absgd.comparisons.alpha_spending import nominal_level
from absgd.comparisons.claim_rules import ClaimRules

POWER = 0.8
MOST_PAIRS = 1000


class Dfs(NamedTuple):
    """The degrees of freedom of a standard deviation."""

    pairs: float
    """Those of the pairs at present; each further pair adds its share."""
    earlier: float = 0.0
    """Those of earlier pairs, which stay as they are."""


def pairs_needed(
    difference: float, std: float, dfs: Dfs, n: int, rules: ClaimRules, alpha: float, look: int | None
) -> int | None:
    """Return about how many more pairs give a claim with probability `POWER`, if all is as it seems now.

    Args:
        difference: mean paired difference, taken as the true one.
        std: standard deviation of a paired difference, taken as the true one.
        dfs: its degrees of freedom.
        n: pairs at present, at least two.
        rules: with the margin.
        alpha: level that the rival has at present, of which `nominal_level` gives the part of each look.
        look: None where there is a single look.

    Returns:
        At least 1; None where `MOST_PAIRS` in all are too few.
    """
    from scipy import special  # slow to import, and loading runs does not need it

    totals = np.arange(n + 1, MOST_PAIRS + 1)
    if not len(totals):
        return None
    levels = nominal_level(alpha, totals.astype(np.float64), look)
    quantiles = -special.stdtrit(dfs.earlier + dfs.pairs * (totals - 1) / (n - 1), levels / 2)
    errors = max(std, 1e-12) / np.sqrt(totals)
    found = special.ndtr(abs(difference) / errors - quantiles)
    room = (rules.margin - abs(difference)) / errors - quantiles
    same = np.where(
        room > 0, special.ndtr(room) - special.ndtr(-(rules.margin + abs(difference)) / errors + quantiles), 0
    )
    enough = np.flatnonzero(np.maximum(found, same) >= POWER)
    return int(totals[enough[0]]) - n if len(enough) else None
