"""The candidates of a confirmation: the names of those that can win, which of them wins, and what it must beat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from absgd.registry.loss_table import base_criterion, is_attentive

LeftReason = Literal["decided", "cannot win", "diverged", "no score", "verdict", "budget", "max pairs"]
"""Why a rival has no further pairs.

There is a claim about it; it is too far behind, which is no claim; the subject diverged on a pair, so it is not called
better; the rival has no score on its first two pairs; the verdict is decided without it; `confirm.epoch_budget` or
`confirm.max_pairs` is reached.
"""

POINT = 0.01
"""Units of a metric in a point."""
DEFAULT_MARGIN = 0.5
"""Points below which a difference does not matter, where a space does not say."""

BEST_PREFIX = "best-"
"""Prefix of the names of candidates that can win; all others are controls."""
TUNED_SUFFIX = "-tuned"
"""Ends the names of controls whose settings were searched too."""


def best_name(place: int) -> str:
    """Return the name of the candidate at a place, counted from 1, of the search's ranking.

    >>> best_name(1)
    'best-1'
    """
    return f"{BEST_PREFIX}{place}"


def is_best(candidate: str) -> bool:
    """Whether a candidate is a configuration of the search, which can win, and not a control.

    >>> is_best("best-2"), is_best("ce")
    (True, False)
    """
    return candidate.startswith(BEST_PREFIX)


def winning_order(num_lost: int, gain: float, val_loss: float | None, place: int) -> tuple[float, ...]:
    """Return the sort key of a candidate: the smallest wins.

    Fewer lost runs win, then the better mean of the metric, then the lower validation loss, then the better place in
    the search. The test set decides nothing.

    >>> min(winning_order(0, 0.8, 0.5, 1), winning_order(0, 0.8, 0.4, 2), winning_order(1, 0.9, 0.4, 3))
    (0, -0.8, 0.4, 2)

    Args:
        num_lost: runs on fresh seeds that others completed, or that were planned, and this candidate did not complete.
        gain: mean of the metric on validation, with its sign set so that larger is better.
        val_loss: mean validation loss at the last epoch; None or NaN where it is unknown: behind all known ones.
        place: position before the comparison.
    """
    is_known = val_loss is not None and not math.isnan(val_loss)
    return num_lost, -gain, val_loss if is_known and val_loss is not None else math.inf, place


def best_of_all(subject: str, findings: Mapping[str, str | None], scores: Mapping[str, Mapping[int, float]]) -> str:
    """Return the name of the candidate to take home where controls were tuned: the configuration, or a better control.

    Claims come first: a control is out if the configuration is better, and the configuration is out if it is worse than
    a control. Among the others the mean difference on validation decides, over the pairs that both have, at least two.

    >>> scores = {"best-1": {4: 0.80, 5: 0.82}, "ce": {4: 0.79, 5: 0.80}, "focal-tuned": {4: 0.81, 5: 0.84}}
    >>> best_of_all("best-1", {"ce": "better", "focal-tuned": "undecided"}, scores)
    'focal-tuned'
    >>> best_of_all("best-1", {"ce": "better", "focal-tuned": "better"}, scores)
    'best-1'

    Args:
        subject: the confirmed configuration.
        findings: control -> finding about the configuration in comparison with it; None: not compared.
        scores: candidate -> seed pair -> score on validation, larger is better.
    """
    gains = {name: _gain(scores.get(name, {}), scores.get(subject, {})) for name in findings}
    able = {name: gain for name, gain in gains.items() if findings[name] != "better" and gain is not None}
    best = max(able, key=able.__getitem__, default=subject)
    is_beaten = "worse" in {findings[name] for name in able}
    return best if is_beaten or able.get(best, 0.0) > 0 else subject


def _gain(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    """Return the mean difference over common pairs; None below two. Means that differ by rounding alone are equal."""
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < 2:
        return None
    return round(math.fsum(ours[pair] - theirs[pair] for pair in common) / len(common), 9)


def further_option(ending: LeftReason, num_pairs: int) -> str:
    """Return the option of `absgd-tune --confirm DIR` by which a confirmation goes on.

    >>> further_option("max pairs", 12)
    '--pairs 12'

    Args:
        ending: what ended it: its most pairs, or its epoch budget.
        num_pairs: pairs that it needs in all.
    """
    if ending == "budget":
        return "--space FILE, where FILE has a larger `confirm.epoch_budget`"
    return f"--pairs {num_pairs}"


def base_criteria(loss: str) -> tuple[str, ...]:
    """Return cross entropy and, if different, the base criterion that the attention weights of a loss multiply.

    >>> base_criteria("abce"), base_criteria("absce")
    (('ce',), ('ce', 'sce'))
    """
    base = base_criterion(loss)
    return ("ce", base) if is_attentive(loss) and base != "ce" else ("ce",)


def deciding_names(loss: str, ab_alpha: float | None) -> tuple[str, ...]:
    """Return the names of the controls that a configuration must beat to be called better.

    They are plain training, at both learning rates: the weights of a batch sum to about 1 / ab_alpha, so a gain over
    plain training at lr may come from the larger learning rate alone.

    >>> deciding_names("abce", 0.5), deciding_names("abce", 1.0)
    (('ce', 'ce-lr'), ('ce',))

    Args:
        loss: its `loss.name`.
        ab_alpha: its `attention.ab_alpha`; None without attention weights.
    """
    rates = ("", "-lr") if ab_alpha not in (None, 1.0) else ("",)
    return tuple(criterion + rate for criterion in base_criteria(loss) for rate in rates)
