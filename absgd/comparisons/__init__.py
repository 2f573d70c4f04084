"""Comparisons of one candidate with its rivals over seed pairs: what may be claimed, when to stop, what it would take.

`tune_runs.confirmation`, `analysis.questions` and `benchmarks` may import it; it imports numpy and, when called, scipy.
"""

from absgd.comparisons.alpha_spending import nominal_level
from absgd.comparisons.block_variance import PriorVariance, prior_variance, search_spread
from absgd.comparisons.claim_rules import ClaimRules, Finding, RivalComparison, Scores
from absgd.comparisons.look_comparison import compare_at_look
from absgd.comparisons.more_pairs import pairs_needed
from absgd.comparisons.rivals_in_play import cannot_win

__all__ = [
    "ClaimRules",
    "Finding",
    "PriorVariance",
    "RivalComparison",
    "Scores",
    "cannot_win",
    "compare_at_look",
    "nominal_level",
    "pairs_needed",
    "prior_variance",
    "search_spread",
]
