"""How near two scenarios are, also those of different searches; the nearest one lends its points to a new search.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from absgd.config.dotted_keys import setting_value
from absgd.config.locations import data_title
from tune_runs.space.parameters import numeral


class ScenarioTraits(NamedTuple):
    """The settings in which scenarios differ."""

    data: str
    title: str | None
    """Name of the data for people; the images of two folders are two data sets."""
    imbalance: str
    ratio: float
    noise: str
    rate: float

    @property
    def data_name(self) -> str:
        """Name of the data set for people."""
        return self.title or self.data

    def has_data_of(self, other: ScenarioTraits) -> bool:
        """Whether both have the same data set; a title counts where both have one, as not all records do."""
        return self.data == other.data and (self.title == other.title or None in (self.title, other.title))


def traits_of(settings: Mapping[str, Any]) -> ScenarioTraits:
    """Return the traits of a partial or whole RunConfig, as plain mappings."""
    return ScenarioTraits(
        data=str(setting_value(settings, "data.name")),
        title=data_title(settings),
        imbalance=str(setting_value(settings, "imbalance.type")),
        ratio=float(setting_value(settings, "imbalance.ratio")),
        noise=str(setting_value(settings, "noise.type")),
        rate=float(setting_value(settings, "noise.rate")),
    )


def remoteness(one: ScenarioTraits, other: ScenarioTraits) -> tuple[bool, bool, bool, float, float]:
    """Return what orders scenarios by their distance from another, the nearest first.

    The same data set comes first, then the same imbalance type, the same noise type, the nearest ratio on a logarithmic
    scale, and the nearest noise rate. Kinds come before amounts: which attention weights help depends more on whether
    labels are wrong than on how rare a class is.

    >>> clean = ScenarioTraits("cifar10", None, "exp", 0.01, "none", 0.0)
    >>> remoteness(clean, clean._replace(ratio=0.1)) < remoteness(clean, clean._replace(noise="symmetric", rate=0.4))
    True
    """
    return (
        not one.has_data_of(other),
        one.imbalance != other.imbalance,
        one.noise != other.noise,
        round(abs(math.log(one.ratio) - math.log(other.ratio)), 9),  # 0.01 and 1 are equally far from 0.1
        round(abs(one.rate - other.rate), 9),
    )


def differences_in_words(one: ScenarioTraits, other: ScenarioTraits) -> str:
    """Return what `other` has in place of what `one` has; an empty text where they differ in nothing.

    >>> one = ScenarioTraits("cifar10", None, "exp", 0.01, "none", 0.0)
    >>> differences_in_words(one, one._replace(ratio=0.1, noise="symmetric", rate=0.2))
    'ratio 0.1 instead of 0.01, noise symmetric instead of none, rate 0.2 instead of 0'
    """
    return ", ".join(_differences(one, other))


def _differences(one: ScenarioTraits, other: ScenarioTraits) -> Iterator[str]:
    if not one.has_data_of(other):
        yield f"data set {other.data_name} instead of {one.data_name}"
    pairs = {
        "imbalance": (other.imbalance, one.imbalance),
        "ratio": (numeral(other.ratio), numeral(one.ratio)),
        "noise": (other.noise, one.noise),
        "rate": (numeral(other.rate), numeral(one.rate)),
    }
    for name, (theirs, ours) in pairs.items():
        if theirs != ours:
            yield f"{name} {theirs} instead of {ours}"
