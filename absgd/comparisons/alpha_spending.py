"""The level at which a rival is tested after n pairs: alpha spending over looks, without a planned last look."""

from __future__ import annotations


def nominal_level(alpha: float, n: int, look: int | None) -> float:
    """Return the two-sided level of the test after `n` pairs.

    The levels of all n from 2 on sum to `alpha`, however many looks there will be, so pairs may be added at any time.

    Args:
        alpha: the probability of a wrong claim about this rival that may be spent over all looks.
        n: pairs of this rival; below two nothing is spent.
        look: None if this is the only look, with all of `alpha`.

    Source: Maurer and Bretz 2013 (doi 10.1080/19466315.2013.807748): each hypothesis spends its own share of alpha, and
    what it has of alpha grows as others are claimed.
    """
    if n < 2:
        return 0.0
    return alpha if look is None else alpha / (n * (n - 1))
