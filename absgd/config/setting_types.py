"""Types of single settings: the numbers, paths and texts that they take, whatever their section.

Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from absgd.errors import broken_rule, shown
from absgd.paths import path_problem
from absgd.registry.plugin_table import IDENTITY_PATTERN

Fraction = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Epoch = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Index of an epoch, counted from 0."""
Rate = Annotated[float, Field(gt=0, le=1e30)]
"""A positive number that float32 can hold, and products with it too."""
Penalty = Annotated[float, Field(ge=0, le=1e30)]
"""As `Rate`, or 0."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]

SMALLEST_TILT = 1e-6
"""Smallest magnitude of `loss.term_tilt`; below it, tilted losses equal their mean to nearly all digits."""
LARGEST_TILT = 1e6
"""Largest magnitude of `loss.term_tilt`."""
MAX_TITLE = 64
"""Longest `data.title` in characters."""


def _epoch_or_switch(value: object) -> object:
    if value == "switch" or (type(value) is int and value >= 0):
        return value
    raise broken_rule("", f"expected `from_epoch` to be an epoch or `switch`, got {value!r}")


def _path_text(value: str) -> str:
    problem = path_problem(value)
    if problem is not None:
        raise broken_rule("", problem)
    return value


def _title_text(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise broken_rule("", f"expected `title` to be printable text, got {shown(value)}")
    return value


EpochOrSwitch = Annotated[Epoch | Literal["switch"], BeforeValidator(_epoch_or_switch)]
PathText = Annotated[str, AfterValidator(_path_text)]
TitleText = Annotated[str, Field(max_length=MAX_TITLE), AfterValidator(_title_text)]
PluginIdentity = Annotated[str, Field(pattern=IDENTITY_PATTERN)]
