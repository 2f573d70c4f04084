"""The searched parameters of a space.yaml, and the position of a value in its range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from absgd.records import COLUMN_OF, OPTION_COLUMNS
from analysis.frames.option_columns import is_option_column

EDGE = 0.05
"""Fraction of a range, on the scale of the search, that counts as its edge."""
LIMITS = {"gamma": (0.0, 1.0), "ab_alpha": (0.0, 1.0), "class_tau": (0.0, math.inf), "dropout": (0.0, 1.0)}
"""Column -> limits of the method itself, beyond which no range can be searched."""

RangeEnd = Literal["low", "high"]


@dataclasses.dataclass(frozen=True)
class SearchedParameter:
    """A parameter that a search varied."""

    column: str
    """Column of the parameter in a trial row."""
    low: float | None = None
    """Lower bound; None for choices."""
    high: float | None = None
    """Upper bound; None for choices."""
    log: bool = False
    """Whether the search sampled it on a logarithmic scale."""
    by_magnitude: bool = False
    """Whether low and high bound the magnitude of a signed value."""
    whole: bool = False
    """Whether its values are whole numbers."""

    @property
    def is_range(self) -> bool:
        """Whether it has bounds instead of choices."""
        return self.low is not None and self.high is not None

    def edge(self, value: float) -> RangeEnd | None:
        """Return the end of the range that a value is close to; None inside, and where the method itself ends.

        >>> SearchedParameter("lam", 0.5, 50, log=True).edge(48.0)
        'high'
        """
        if self.low is None or self.high is None or not self.low < self.high:
            return None
        size = abs(value) if self.by_magnitude else value
        if self.whole:
            return "low" if size <= self.low else "high" if size >= self.high else None
        place = (self._scaled(size) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        limits = LIMITS.get(self.column, (-math.inf, math.inf))
        if place <= EDGE and self.low > limits[0]:
            return "low"
        return "high" if place >= 1 - EDGE and self.high < limits[1] else None

    def sampled(self, values: pd.Series[Any]) -> dict[str, pd.Series[Any]]:
        """Return a column as the search sampled it: magnitude and sign apart if it sampled them separately."""
        if not self.by_magnitude:
            return {self.column: values}
        numbers = values.astype("float64")
        parts = {f"|{self.column}|": numbers.abs()}
        if (numbers > 0).any() and (numbers < 0).any():
            parts[f"sign of {self.column}"] = (numbers > 0).map({True: "+", False: "-"})
        return parts

    def _scaled(self, value: float) -> float:
        return math.log(max(value, math.ulp(0.0))) if self.log else value


def searched_parameters(space: Mapping[str, Any], trials: pd.DataFrame) -> tuple[SearchedParameter, ...]:
    """Return the parameters that a search varied, in the order of the space.

    Args:
        space: `LoadedFolder.space`; if it is empty (a Ray folder, a lost file), the settings that differ between
            `trials` count as searched, without bounds.
        trials: search trials of one scenario.
    """
    search = space.get("search")
    if isinstance(search, Mapping) and search:
        found = [_searched(str(name), entry) for name, entry in search.items() if isinstance(entry, Mapping)]
        settings = set(_settings(trials))
        return tuple(_consistent_with(one, trials[one.column]) for one in found if one.column in settings)
    return tuple(SearchedParameter(name) for name in _varied(trials))


def _searched(name: str, entry: Mapping[str, Any]) -> SearchedParameter:
    column = COLUMN_OF.get(name, COLUMN_OF.get(f"attention.{name}", name))
    low, high = _bound(entry.get("low")), _bound(entry.get("high"))
    if entry.get("choices") is not None or low is None or high is None:
        return SearchedParameter(column)
    log, is_negative = bool(entry.get("log")), high < 0
    if log and is_negative:
        low, high = -high, -low
    by_magnitude = bool(entry.get("sign")) or (log and is_negative)
    return SearchedParameter(column, low, high, log and low > 0, by_magnitude, entry.get("type") == "int")


def _bound(value: Any) -> float | None:
    """Return a bound of a range; None if it is not a finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


_ON_DEVICE = {"device", "threads", "ranks", "fast", "precision", "memory_format", "cuda_graph"}
_NOT_SETTINGS = {
    "seed_data",
    "seed_train",
    "data_root",
    "data_workers",
    "on_duplicate",
    "plugins",
    *OPTION_COLUMNS,
    *_ON_DEVICE,
}


def _varied(trials: pd.DataFrame) -> list[str]:
    """Return the settings that differ between trials, including parameters of Ray scripts without a column of ours."""
    names = [name for name in _settings(trials) if name not in _NOT_SETTINGS]
    return [name for name in names if _differs(trials[name])]


def _settings(trials: pd.DataFrame) -> list[str]:
    """Return the columns that a search can vary."""
    own = (name for name in trials.columns if name.startswith("params/") or is_option_column(name))
    names = [*COLUMN_OF.values(), *own]
    return [name for name in names if name in trials.columns]


def _consistent_with(parameter: SearchedParameter, values: pd.Series[Any]) -> SearchedParameter:
    """Drop what the values of a parameter contradict: text has no range, and only positive numbers a logarithm."""
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return SearchedParameter(parameter.column)
    if parameter.log and not parameter.by_magnitude and (values.dropna() <= 0).any():
        return dataclasses.replace(parameter, log=False)
    return parameter


def _differs(values: pd.Series[Any]) -> bool:
    if isinstance(values.dtype, pd.ArrowDtype):  # lists cannot be hashed
        return len(set(map(str, values))) > 1
    return len(values.drop_duplicates()) > 1
