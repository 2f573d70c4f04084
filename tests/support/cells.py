"""Curves and cells small enough to count by hand: 16 epochs, switch 8 to 12, a control at 0.5 throughout."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.curves import Cell, Curve
from tests.support.spaces import make
from tune_runs.space.model import EarlyStoppingConfig, StoppingRule
from tune_runs.stopping.rungs import EarlyStopping, early_stopping

EPOCHS = 16


def curve(number: int, switch: int, *values: float, val_loss: float = 0.0, end: int = EPOCHS) -> Curve:
    """A trial's values from its switch on; the last one stays."""
    padded = [*values, *[values[-1]] * EPOCHS]
    return Curve(number, switch, dict(zip(range(switch, end), padded, strict=False)), val_loss)


def cell_of(*curves: Curve, seed: int = 0, **changes: object) -> Cell:
    """With keys of the space changed."""
    return Cell(make(dict(changes)), "digits", seed, dict.fromkeys(range(EPOCHS), 0.5), curves)


def stopping_of(cell: Cell, rule: StoppingRule) -> EarlyStopping:
    """Compared from the first epoch of stage two on."""
    config = EarlyStoppingConfig(rule=rule, grace_period=1)
    return early_stopping(cell.space.model_copy(update={"early_stopping": config}))


def three(better: Callable[[float], float] = lambda value: value) -> tuple[Curve, ...]:
    """A steady trial, one that is poor but for its last epoch, and one that is good in its first epoch alone.

    Args:
        better: turns a value of a metric that is better when larger into the one that is measured.
    """
    steady, late, early = [0.9], [*[0.6] * 7, 0.99], [0.95, 0.7]
    return tuple(
        curve(number, switch, *map(better, values))
        for number, (switch, values) in enumerate(((8, steady), (8, late), (12, early)))
    )
