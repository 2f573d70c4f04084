"""When trials of a search space are compared: rungs start after the latest switch epoch.

Before the switch all trials of a scenario are equal, so a rung there would rank noise.
Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
import itertools

from tune_runs.corners import corners
from tune_runs.space import SearchSpace


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Epochs at which a search may stop trials."""

    latest_switch: int | None
    """The latest `switch_epoch` a trial may have; None when no trial has a stage two."""
    grace_period: int | None
    """Epochs done at the first rung; None without early stopping."""
    rungs: tuple[int, ...]
    """Epochs done at which trials are compared: grace_period - 1 + reduction_factor^k, below `epochs`."""


def early_stopping(space: SearchSpace) -> EarlyStopping:
    """The switch, grace period and rungs of a space."""
    switch = _latest_switch(space)
    if space.asha is None:
        return EarlyStopping(switch, None, ())
    grace_period = space.asha.grace_period or (1 if switch is None else switch + 1)
    return EarlyStopping(switch, grace_period, _rungs(grace_period, space.asha.reduction_factor, space.epochs))


def _latest_switch(space: SearchSpace) -> int | None:
    settings = (merged for scenario in space.scenario_list for _, merged in corners(space, scenario))
    switches = [(merged.get("attention") or {}).get("switch_epoch") for merged in settings]
    return max((switch for switch in switches if switch is not None), default=None)


def _rungs(grace_period: int, reduction_factor: int, epochs: int) -> tuple[int, ...]:
    ages = (reduction_factor**k for k in itertools.count())
    return tuple(itertools.takewhile(lambda rung: rung < epochs, (grace_period - 1 + age for age in ages)))
