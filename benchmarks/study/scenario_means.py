"""Means over the scenarios of the study, and numbers of points in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95


class ScenarioMean(NamedTuple):
    """The mean of one number per scenario, with Student's 95 % interval, which takes the scenarios as the sample."""

    mean: float
    low: float
    """NaN: fewer than two scenarios."""
    high: float
    num_scenarios: int


def scenario_mean(values: Sequence[float]) -> ScenarioMean:
    """Return the mean over scenarios, and its interval; missing values are left out.

    >>> [round(number, 2) for number in scenario_mean([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48, 3]
    """
    own = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    if len(own) < 2:
        return ScenarioMean(float(own[0]) if len(own) else math.nan, math.nan, math.nan, len(own))
    from scipy.stats import t  # slow to import

    half = float(t.ppf((1 + LEVEL) / 2, len(own) - 1)) * float(own.std(ddof=1)) / math.sqrt(len(own))
    return ScenarioMean(float(own.mean()), float(own.mean()) - half, float(own.mean()) + half, len(own))


def signed_points(value: float) -> str:
    """Return points with a sign and one decimal.

    >>> signed_points(-1.26), signed_points(0.04), signed_points(2.0)
    ('−1.3', '0.0', '+2.0')
    """
    text = f"{value:+.1f}"
    return text.replace("-", "−") if float(text) else "0.0"


def points_words(value: float, low: float, high: float) -> str:
    """Return a number of points, with its interval where there is one.

    >>> points_words(0.4, -0.5, 1.25), points_words(-2, math.nan, math.nan)
    ('+0.4 points (−0.5 to +1.2)', '−2.0 points')
    """
    return f"{signed_points(value)} points{bounds_words(low, high)}"


def bounds_words(low: float, high: float) -> str:
    """Return an interval in points in brackets, behind a space; empty where it has no bounds.

    >>> bounds_words(-0.5, 1.25), bounds_words(math.nan, math.nan)
    (' (−0.5 to +1.2)', '')
    """
    is_bounded = math.isfinite(low) and math.isfinite(high)
    return f" ({signed_points(low)} to {signed_points(high)})" if is_bounded else ""


def mean_words(mean: ScenarioMean) -> str:
    """Return a mean over scenarios with its interval.

    >>> mean_words(ScenarioMean(-0.5, -1.25, 0.25, 4))
    '−0.5 points (−1.2 to +0.2)'
    """
    return points_words(mean.mean, mean.low, mean.high)


def lead_words(mean: ScenarioMean, rival: str) -> str:
    """Return a mean lead over a rival in words.

    >>> lead_words(ScenarioMean(-0.5, -1.25, 0.25, 4), "focal loss")
    '0.5 points behind focal loss (−1.2 to +0.2)'
    """
    size = f"{abs(mean.mean):.1f}"
    place = f"{size} points {'ahead of' if mean.mean > 0 else 'behind'}" if float(size) else "level with"
    return f"{place} {rival}{bounds_words(mean.low, mean.high)}"


def scenario_count(number: int) -> str:
    """Return a number of scenarios in words.

    >>> scenario_count(1), scenario_count(24)
    ('one scenario', '24 scenarios')
    """
    return f"{number_word(number)} scenario{'' if number == 1 else 's'}"


def words_in_list(words: Sequence[str]) -> str:
    """Return words joined by commas and `and`.

    >>> words_in_list(["a", "b", "c"]), words_in_list(["a"])
    ('a, b and c', 'a')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number_word(number: int) -> str:
    """Return a small whole number as a word.

    >>> number_word(0), number_word(3), number_word(12)
    ('none', 'three', '12')
    """
    names = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return names[number] if number < len(names) else str(number)
