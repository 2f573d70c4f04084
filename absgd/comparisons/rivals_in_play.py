"""Which rivals can still win: decides what is trained next, and claims nothing."""

from __future__ import annotations

import math

from absgd.comparisons.block_variance import PriorVariance
from absgd.comparisons.claim_rules import Scores
from absgd.comparisons.paired_differences import paired_differences

CANNOT_WIN_LEVEL = 0.05
"""One-sided: probability that a rival as good as the subject is left aside after one look."""


def cannot_win(
    subject: str, scores: Scores, rival: str, prior: PriorVariance | None, level: float = CANNOT_WIN_LEVEL
) -> bool:
    """Return whether a rival is so far behind the subject that training it further would not put it ahead.

    Args:
        subject: the candidate that the confirmation is about.
        scores: of both, on the pairs of the confirmation.
        rival: one of its rivals.
        prior: spread of paired differences on the pairs of the search; with one pair there is no other. None: unknown.
        level: one-sided, of the test that the rival is at least as good.
    """
    from scipy import special  # slow to import, and loading runs does not need it

    values = paired_differences(scores.get(subject, {}), scores.get(rival, {}))
    n = len(values)
    df = max(n - 1, 0) + (prior.df if prior else 0.0)
    if n == 0 or df <= 0:
        return False
    squares = float(((values - values.mean()) ** 2).sum()) + (prior.df * prior.variance if prior else 0.0)
    error = math.sqrt(squares / df / n)
    return error > 0 and float(values.mean()) > -float(special.stdtrit(df, level)) * error
