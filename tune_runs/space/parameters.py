"""The range of one searched setting: its values, its description, and how Optuna draws from it.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from absgd.config.sections import Section
from absgd.errors import broken_rule

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Scalar = bool | int | float | str | None
MAX_LISTED = 1000
"""Most scenarios, choices of a parameter, or enqueued points of a space."""
ParameterKind = Literal["float", "int", "categorical"]


def _scalar(value: object) -> object:
    unbounded = isinstance(value, int | float) and not abs(value) <= sys.float_info.max
    if unbounded or not isinstance(value, bool | int | float | str | None):
        raise broken_rule("", f"expected a finite number, text, true, false or null, got {repr(value)[:80]}")
    return value


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


_SCALAR_SCHEMA: dict[str, Any] = {"type": ["boolean", "number", "string", "null"]}
ScalarField = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
_Condition = Annotated[
    tuple[ScalarField, ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_SCALAR_SCHEMA, {"type": "array", "items": _SCALAR_SCHEMA, "minItems": 1}]}),
]


class Parameter(Section):
    """The range of one searched setting: `low` and `high`, or `choices`; `SearchSpace` checks its rules."""

    type: ParameterKind | None = None
    """Kind of value; null: categorical with `choices`, else int or float as the setting is."""
    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value, itself included."""
    log: bool = False
    """Draw the logarithm evenly; two negative bounds draw the logarithm of the magnitude."""
    step: Annotated[float, Field(gt=0)] | None = None
    """Distance between neighbouring values, counted from `low`."""
    choices: Annotated[tuple[ScalarField, ...], Field(strict=False, max_length=MAX_LISTED)] | None = None
    """The values of a categorical parameter."""
    sign: Annotated[tuple[Literal[1, -1], ...], Field(strict=False)] | None = None
    """`lam` only: the signs to draw from, apart from the magnitude that `low` and `high` bound."""
    when: dict[str, _Condition] = Field(default_factory=dict)
    """Parameter declared earlier, or setting of `base` -> value or values with which this one is drawn."""

    @property
    def kind(self) -> ParameterKind:
        """Kind of the values."""
        return self.type or ("float" if self.choices is None else "categorical")

    @property
    def bounds(self) -> tuple[float, float]:
        """`low` and `high`, as whole numbers where the kind is int."""
        assert self.low is not None, "a checked range has both bounds"
        assert self.high is not None, "a checked range has both bounds"
        return (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)

    @property
    def magnitudes(self) -> tuple[float, float]:
        """Bounds as Optuna sees them: those of the magnitude where Optuna draws the magnitude."""
        low, high = self.bounds
        return (-high, -low) if self.draws_magnitude and high < 0 else (low, high)

    @property
    def draws_magnitude(self) -> bool:
        """Whether Optuna draws the magnitude: a logarithmic range needs positive numbers."""
        return self.sign is not None or (self.log and self.kind != "categorical" and self.bounds[1] < 0)

    @property
    def num_steps(self) -> int | None:
        """Steps from `low` to the largest value that Optuna draws, which counts in decimals; None: no step is given.

        >>> Parameter(low=0.1, high=0.7, step=0.1).num_steps
        6
        """
        if self.step is None:
            return None
        low, high = (Decimal(str(bound)) for bound in self.bounds)
        return int((high - low) // Decimal(str(self.step)))

    def value_after(self, num_steps: int) -> float:
        """Return the value `num_steps` above `low`, bit for bit the one that Optuna draws.

        >>> 0.1 + 6 * 0.1, Parameter(low=0.1, high=0.7, step=0.1).value_after(6)
        (0.7000000000000001, 0.7)
        """
        low, _ = self.bounds
        if self.step is None:
            return low + num_steps
        if self.kind == "int":
            return low + num_steps * int(self.step)
        largest = Decimal(str(low)) + (self.num_steps or 0) * Decimal(str(self.step))
        return min(low + num_steps * self.step, float(largest))

    def identity(self, value: Scalar) -> Hashable:
        """Return what tells a well-formed value from others: where there is a step, 0.3 and 0.1 + 2 * 0.1 are one.

        >>> Parameter(low=0.1, high=0.7, step=0.1).identity(0.3)
        (2, False)
        """
        if self.step is None or not isinstance(value, int | float):
            return value
        is_negative = self.sign is not None and value < 0
        size = -value if is_negative else value
        return round((size - self.bounds[0]) / self.step), is_negative

    @property
    def branches(self) -> tuple[tuple[Scalar, Scalar], ...]:
        """Values at the low and the high end, for each choice or sign."""
        if self.choices is not None:
            return tuple((choice, choice) for choice in self.choices)
        low, high = self.bounds
        return tuple((sign * low, sign * high) for sign in self.sign or (1,))

    def suggest(self, name: str, trial: BaseTrial) -> Scalar:
        """Return the value that Optuna draws, under the names that `optuna_params` gives."""
        if self.choices is not None:
            chosen: Scalar = trial.suggest_categorical(name, list(self.choices))
            return chosen
        low, high = self.magnitudes
        drawn_name = f"{name}_magnitude" if self.draws_magnitude else name
        sign = -1 if self.draws_magnitude and self.bounds[1] < 0 else 1
        if self.sign is not None:
            sign = trial.suggest_categorical(f"{name}_sign", list(self.sign))
        if self.kind == "int":
            return sign * trial.suggest_int(drawn_name, int(low), int(high), step=int(self.step or 1), log=self.log)
        return sign * trial.suggest_float(drawn_name, low, high, step=self.step, log=self.log)

    def optuna_params(self, name: str, value: Scalar) -> dict[str, Scalar]:
        """Return the Optuna parameters for which `suggest` returns `value`.

        >>> Parameter(low=-50, high=-0.5, log=True).optuna_params("lam", -5.0)
        {'lam_magnitude': 5.0}
        """
        if self.choices is not None or not self.draws_magnitude:
            return {name: value}
        assert isinstance(value, int | float)
        sign = {} if self.sign is None else {f"{name}_sign": 1 if value > 0 else -1}
        return {**sign, f"{name}_magnitude": abs(value)}

    def contains(self, value: Scalar) -> bool:
        """Whether a well-formed `value` can be drawn.

        >>> Parameter(low=0.5, high=50, sign=(1, -1)).contains(-5.0)
        True
        """
        if self.choices is not None:
            return value in self.choices
        assert isinstance(value, int | float)
        if self.sign is not None and (value > 0) != (1 in self.sign) and len(self.sign) == 1:
            return False
        low, high = self.bounds
        size = abs(value) if self.sign is not None else value
        return low <= size <= high and (self.step is None or is_multiple(size - low, self.step))

    def typed(self, value: Scalar) -> Scalar:
        """Return a well-formed value with the type that `suggest` gives it: 5 is 5.0 where the kind is float."""
        if self.kind == "categorical":
            return value
        assert isinstance(value, int | float)
        return int(value) if self.kind == "int" else float(value)

    def refusal(self, value: Scalar) -> str | None:
        """Return what is wrong with the form of `value`, inside the range or not; None if nothing is."""
        if self.kind == "categorical":
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"expected a number, got {value!r}"
        if self.kind == "int" and value != int(value):
            return f"expected a whole number, got {value!r}"
        return None

    def describe(self) -> str:
        """Return the range in words.

        >>> Parameter(low=0.5, high=50, log=True, sign=(1, -1)).describe()
        '0.5 to 50, log, sign + or -'
        """
        if self.choices is not None:
            return ", ".join("null" if choice is None else str(choice) for choice in self.choices)
        low, high = self.bounds
        parts = [f"{numeral(low)} to {numeral(high)}"]
        parts += ["whole"] if self.kind == "int" else []
        parts += ["log"] if self.log else []
        parts += [f"step {numeral(self.step)}"] if self.step is not None else []
        parts += ["sign " + " or ".join("+" if sign > 0 else "-" for sign in self.sign)] if self.sign else []
        return ", ".join(parts)


def numeral(number: float) -> str:
    """Return a number as a user writes it: `8`, not `8.0`."""
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def is_multiple(distance: float, step: float) -> bool:
    """Whether `distance` is a multiple of `step`, up to rounding."""
    ratio = distance / step
    return math.isfinite(ratio) and abs(ratio - round(ratio)) < 1e-9 * max(1.0, abs(ratio))
