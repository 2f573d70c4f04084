"""Simulated scores of a search and of the confirmation that follows, under conditions that break weaker rules.

Unit: the standard deviation of the difference of two candidates on one pair, if all have equal noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

from absgd.comparisons import PriorVariance, Scores, search_spread
from benchmarks.simulated_confirmations import Spread, Values

MARGIN = 0.5
SEARCH_PAIRS, MAX_PAIRS = 4, 20
"""Pairs of the search, and of the confirmation."""
OTHER_FINALISTS = (4, 3)
"""Pairs of the search's finalists besides the subject, which has all."""

Draw = Callable[[np.random.Generator, int, int], Values]
"""(generator, scenarios, rivals) -> scores_SCP, on the pairs of the search and then those of the confirmation."""


def _zero(rivals: int) -> Values:
    return np.zeros(rivals)


def noise(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    return np.asarray(rng.normal(size=(scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS)) / np.sqrt(2))


class Case(NamedTuple):
    """Scores drawn under one condition, and what is true of them."""

    name: str
    draw: Draw
    true_R: Callable[[int], Values] = _zero
    """Rivals -> true differences."""
    unit: float = 1.0
    others: Draw = noise
    """Draws the other configurations of the search."""
    search_share: float = 1.0
    """Variance on validation, where the search has seen it, over that on test."""
    is_beyond: bool = False
    """Whether more than 5 % of wrong claims are known and said."""


def _with_factor(noisy: slice) -> Draw:
    """Four times the variance for some candidates."""

    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        scores_SCP = noise(rng, scenarios, rivals)
        scores_SCP[:, noisy] *= 2
        return scores_SCP

    return draw


def _varied(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    """Variances that differ as those of the twenty best configurations in the committed complete curves do."""
    factor_SC = 3 / rng.chisquare(3, size=(scenarios, rivals + 1))
    return noise(rng, scenarios, rivals) * np.sqrt(factor_SC)[..., None]


def _collapsed(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    scores_SCP = noise(rng, scenarios, rivals)
    scores_SCP[:, 0, SEARCH_PAIRS - 1] -= 50
    return scores_SCP


def _heavy(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    return np.asarray(rng.standard_t(3, size=(scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS)) / np.sqrt(6))


def _skewed(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    return np.asarray((rng.exponential(size=(scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS)) - 1) / np.sqrt(2))


def _skewed_subject(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    scores_SCP = noise(rng, scenarios, rivals)
    scores_SCP[:, 0] = -_skewed(rng, scenarios, 0)[:, 0]
    return scores_SCP


def _tiny(images: int) -> Draw:
    """Accuracy on a test set that all pairs share: each image has its own chance of being right."""

    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        easy_SI = rng.beta(4, 1, size=(scenarios, images))
        right_SCP = np.zeros((scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS))
        for image in range(images):
            right_SCP += rng.random(right_SCP.shape) < easy_SI[:, image, None, None]
        return right_SCP / images

    return draw


def _tiny_unit(images: int) -> float:
    return float(np.sqrt(2 * (4 / 30) / images))  # E p (1 - p) of beta(4, 1) is 4 / 30


def _lost(kind: str) -> Draw:
    """One run in ten diverges: any, or those with the lowest scores."""

    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        scores_SCP = noise(rng, scenarios, rivals)
        worst = scores_SCP < stats.norm.ppf(0.1) / np.sqrt(2)
        is_lost = rng.random(scores_SCP.shape) < 0.1 if kind == "any" else worst
        return np.where(is_lost, np.nan, scores_SCP)

    return draw


def _shifted(true_R: Callable[[int], Values]) -> Draw:
    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        scores_SCP = noise(rng, scenarios, rivals)
        scores_SCP[:, 1:] -= true_R(rivals)[:, None]
        return scores_SCP

    return draw


def _shifted_case(name: str, true_R: Callable[[int], Values]) -> Case:
    return Case(name, _shifted(true_R), true_R)


def cases() -> Iterator[Case]:
    """Yield the conditions under which wrong claims are counted."""
    yield Case("no difference, equal variances", noise)
    yield Case("variance on validation 3/4 of that on test", noise, search_share=0.75)
    yield Case("beyond: variance on validation half of that on test", noise, search_share=0.5, is_beyond=True)
    yield Case("one finalist of the search collapsed on a pair", noise, others=_collapsed)
    yield Case("variance x 4: subject", _with_factor(slice(0, 1)))
    yield Case("variance x 4: one rival", _with_factor(slice(1, 2)))
    yield Case("variance x 4: every other candidate", _with_factor(slice(1, None, 2)))
    yield Case("variances drawn, as of real configurations", _varied, others=_varied)
    yield Case("heavy tails (t, 3 df)", _heavy, others=_heavy)
    yield Case("skewed (exponential)", _skewed, others=_skewed)
    yield Case("skewed subject alone", _skewed_subject)
    for images in (50, 100):
        yield Case(f"test set of {images} images", _tiny(images), unit=_tiny_unit(images), others=_tiny(images))
    yield Case("a tenth of the runs diverged", _lost("any"), others=_lost("any"))
    yield Case("the lowest tenth diverged", _lost("lowest"), others=_lost("lowest"))
    yield _shifted_case("difference = margin", lambda rivals: np.full(rivals, MARGIN))
    yield _shifted_case("difference = -margin", lambda rivals: np.full(rivals, -MARGIN))
    yield _shifted_case("plain training 3 behind", lambda rivals: np.where(np.arange(rivals) == 0, 3.0, 0.0))
    yield _shifted_case("those that decide 1 behind", lambda rivals: np.where(np.arange(rivals) < 2, 1.0, 0.0))
    yield _shifted_case("those that decide 3 behind", lambda rivals: np.where(np.arange(rivals) < 2, 3.0, 0.0))


def drawn(case: Case, rng: np.random.Generator, scenarios: int, rivals: int) -> tuple[Values, Spread]:
    """Return the scores of the confirmations, and the spread that `absgd.comparisons.search_spread` finds before."""
    scores_SCP = case.draw(rng, scenarios, rivals)
    others_SCP = case.others(rng, scenarios, len(OTHER_FINALISTS) - 1)[:, :, :SEARCH_PAIRS].copy()
    for place, num_pairs in enumerate(OTHER_FINALISTS):
        others_SCP[:, place, num_pairs:] = np.nan
    own_SCP = scores_SCP[:, :2, :SEARCH_PAIRS]
    gains_SCP = np.concatenate([own_SCP[:, :1], others_SCP], axis=1) - own_SCP[:, 1:]
    found = [search_spread(_gains(gains_CP), "0") or PriorVariance(0.0, 0.0) for gains_CP in gains_SCP]
    variance_S, df_S = np.array(found, dtype=np.float64).T
    return scores_SCP[:, :, SEARCH_PAIRS:], Spread(case.search_share * variance_S, df_S)


def _gains(gains_CP: Values) -> Scores:
    """Return the gains of one scenario by configuration and pair."""
    return {
        str(place): {pair: float(gain) for pair, gain in enumerate(own_P) if np.isfinite(gain)}
        for place, own_P in enumerate(gains_CP)
    }
