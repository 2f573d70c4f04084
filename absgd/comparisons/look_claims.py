"""The claims of one look, by Holm's method with sticky claims, for many scenarios at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from absgd.comparisons.alpha_spending import nominal_level
from absgd.comparisons.claim_rules import ClaimRules, Finding
from absgd.comparisons.contrasts import Contrasts
from absgd.comparisons.score_table import EQUAL_WITHIN, Values, is_coarse
from absgd.comparisons.subset_means import MOST_VALUES, sign_flip_interval, sign_flip_p_value

FINDINGS: tuple[Finding, ...] = ("undecided", "better", "worse", "equivalent")
"""Code in `Claims.finding_SR` -> finding."""


class Claims(NamedTuple):
    """What one look shows; NaN, and no claim, where a rival is not open or has fewer than two pairs."""

    low_SR: Values
    high_SR: Values
    p_value_SR: Values
    """Corrected: to compare with the level of the rules."""
    finding_SR: npt.NDArray[np.int64]
    """Index into `FINDINGS`."""
    alpha_SR: Values
    """What the rival had of the level over all looks when its numbers were computed."""


def claims_at_look(
    found: Contrasts,
    open_SR: npt.NDArray[np.bool_],
    rules: ClaimRules,
    look: int | None,
    untested_SR: npt.NDArray[np.bool_] | None = None,
) -> Claims:
    """Make all claims that the data allow; each leaves more of the scenario's level for the rivals without one.

    Args:
        found: the contrasts.
        open_SR: rivals without a claim; the level is divided among them.
        rules: margin and level.
        look: number of pairs trained so far; None for a single look.
        untested_SR: open rivals that keep their part of the level, but about which nothing is claimed; None: none.
    """
    low_SR, high_SR, p_SR, alpha_SR = (np.full(open_SR.shape, np.nan) for _ in range(4))
    finding_SR = np.zeros(open_SR.shape, dtype=np.int64)
    coarse_SR = _coarse(found)
    waiting_SR = open_SR.copy()
    tested_SR = open_SR if untested_SR is None else open_SR & ~untested_SR
    while True:
        share_SR = np.broadcast_to(
            rules.scenario_level / np.maximum(waiting_SR.sum(axis=1, keepdims=True), 1), open_SR.shape
        )
        level_SR = nominal_level(share_SR, found.n_SR, look)
        low, high, p_value = _intervals(found, level_SR, coarse_SR)
        for table, values in ((low_SR, low), (high_SR, high), (alpha_SR, share_SR)):
            np.copyto(table, values, where=waiting_SR)
        factor_SR = np.divide(rules.level, level_SR, out=np.full_like(level_SR, np.nan), where=level_SR > 0)
        np.copyto(p_SR, np.minimum(1.0, p_value * factor_SR), where=waiting_SR)
        np.copyto(finding_SR, _findings(low, high, rules.margin), where=tested_SR & waiting_SR)
        claimed_SR = np.asarray(waiting_SR & (finding_SR > 0))
        if not claimed_SR.any():
            return Claims(low_SR, high_SR, p_SR, finding_SR, alpha_SR)
        np.copyto(waiting_SR, False, where=claimed_SR)


def _coarse(found: Contrasts) -> npt.NDArray[np.bool_]:
    """Return where all sign flips are counted, because differences take too few values for Student's t."""
    coarse_SR = np.zeros(found.n_SR.shape, dtype=np.bool_)
    for place in np.argwhere((found.n_SR > 1) & _has_ties(found)):
        values = _values(found, tuple(place))
        coarse_SR[tuple(place)] = found.std_SR[tuple(place)] <= EQUAL_WITHIN or (
            len(values) <= MOST_VALUES and is_coarse(values)
        )
    return coarse_SR


def _has_ties(found: Contrasts) -> npt.NDArray[np.bool_]:
    steps_SRP = np.diff(np.sort(found.differences_SRP, axis=2), axis=2)
    return np.asarray((steps_SRP <= EQUAL_WITHIN).any(axis=2))


def _values(found: Contrasts, place: tuple[int, ...]) -> Values:
    values: Values = found.differences_SRP[place]
    return values[np.isfinite(values)]


def _intervals(found: Contrasts, level_SR: Values, coarse_SR: npt.NDArray[np.bool_]) -> tuple[Values, Values, Values]:
    """Return intervals and p-values at the levels: by Student's t, or all sign flips where differences are coarse."""
    from scipy import special  # slow to import, and loading runs does not need it

    is_known_SR = (found.n_SR > 1) & (found.std_SR > 0)
    error_SR = np.where(is_known_SR, found.std_SR, np.nan) / np.sqrt(np.maximum(found.n_SR, 1))
    half_SR = -special.stdtrit(np.maximum(found.df_SR, 1), level_SR / 2) * error_SR
    p_SR = 2 * special.stdtr(np.maximum(found.df_SR, 1), -np.abs(found.mean_SR) / error_SR)
    low_SR, high_SR = found.mean_SR - half_SR, found.mean_SR + half_SR
    for place in map(tuple, np.argwhere(coarse_SR)):
        values = _values(found, place)[:MOST_VALUES]
        low_SR[place], high_SR[place] = sign_flip_interval(values, float(level_SR[place]))
        p_SR[place] = sign_flip_p_value(values)
    return low_SR, high_SR, p_SR


def _findings(low_SR: Values, high_SR: Values, margin: float) -> npt.NDArray[np.int64]:
    is_equivalent_SR = (-margin < low_SR) & (high_SR < margin)
    return np.select([low_SR > 0, high_SR < 0, is_equivalent_SR], [1, 2, 3], 0)
