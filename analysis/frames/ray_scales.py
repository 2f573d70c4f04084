"""The scales of a Ray Tune script brought to ours: accuracies are fractions, and epochs are counted from 0."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence

from absgd.counts import plural
from absgd.errors import UserError, nearest, shown
from analysis.frames.complaints import Complain
from analysis.frames.ray_columns import FRACTION_COLUMNS
from analysis.frames.ray_trial import RayTrial
from analysis.frames.run_tables import ROUNDING

Percent = bool | Collection[str]
"""Whether accuracies are in percent: all of them or none, or our names of those that are."""


def percent_columns(percent: Percent) -> tuple[str, ...]:
    """Return the columns that are in percent.

    Raises:
        UserError: if one of them holds no fraction.
    """
    if isinstance(percent, bool):
        return FRACTION_COLUMNS if percent else ()
    names = (percent,) if isinstance(percent, str) else tuple(percent)
    for name in names:
        if name not in FRACTION_COLUMNS:
            raise UserError(
                f"expected a column of accuracies, got {shown(name)}{nearest(name, FRACTION_COLUMNS)} (percent)"
            )
    return names


def in_fractions(trials: Sequence[RayTrial], percent: Percent, complain: Complain) -> bool:
    """Turn accuracies in percent into fractions, in place.

    Returns:
        Whether all accuracies are then between 0 and 1; if not, the reason is reported: 95 must never pass for 9500 %.
    """
    in_percent = percent_columns(percent)
    for column in FRACTION_COLUMNS:
        top = 100 if column in in_percent else 1
        outside = {trial.name: value for trial in trials for value in _outside(trial, column, top)}
        if outside:
            name, value = next(iter(outside.items()))
            advice = "" if top == 100 or value < 0 else "; if accuracies are in percent, say `percent=True` (--percent)"
            complain(
                f"expected `{column}` from 0 to {top}, got {value:g} in {name}"
                f" ({len(outside)} of {plural(len(trials), 'trial')}): left out{advice}"
            )
            return False
    for column in in_percent:
        values = [value for trial in trials for value in _values(trial, column)]
        if values and max(values) <= 1:
            complain(
                f"expected `{column}` in percent, got at most {max(values):g} in {plural(len(trials), 'trial')}: "
                "left out; load a folder of fractions without `percent` (--percent)"
            )
            return False
    for column in in_percent:
        for row in (row for trial in trials for row in trial.epochs):
            row[column] = _divided(row.get(column))
    return True


def _outside(trial: RayTrial, column: str, top: float) -> Iterator[float]:
    """Yield the first value of a trial that is not between 0 and `top`, if there is one."""
    outside = (one for one in _values(trial, column) if not -ROUNDING <= one <= top * (1 + ROUNDING))
    yield from itertools.islice(outside, 1)


def _values(trial: RayTrial, column: str) -> Iterator[float]:
    for row in trial.epochs:
        value = row.get(column)
        yield from (one for one in (value if isinstance(value, list) else [value]) if one is not None)


def _divided(value: float | list[float | None] | None) -> float | list[float | None] | None:
    if isinstance(value, list):
        return [None if one is None else one / 100 for one in value]
    return None if value is None else value / 100


def with_epochs_from_0(trials: Sequence[RayTrial], complain: Complain) -> None:
    """Count the scripts' own epochs from 0, in place, where they are counted from 1.

    They are if the first epoch of all trials is 1, or if a trial's last epoch is the number of its `epochs`; but not if
    they follow Ray's iterations, one behind: their first results are lost, as Ray loses them where it pauses trials.
    """
    own = [trial for trial in trials if trial.counts_epochs and trial.epochs]
    if not own or any(trial.is_from_0 for trial in own):
        return
    first = min(trial.epochs[0]["epoch"] for trial in own)
    is_number_of_epochs = any(trial.epochs[-1]["epoch"] == trial.settings.get("epochs") for trial in own)
    if first == 1 or (first > 1 and is_number_of_epochs):
        for row in (row for trial in own for row in trial.epochs):
            row["epoch"] -= 1
        complain("epochs are counted from 1: taken as counted from 0")
    elif first > 1 and not any(trial.epochs_reached == trial.settings.get("epochs") for trial in own):
        complain(f"the first epoch reported is {first}: taken as counted from 0")
