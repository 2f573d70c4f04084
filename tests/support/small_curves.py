"""Curves small enough to count by hand: 16 epochs, switch 8 to 12, a control at 0.5 throughout."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.complete_curves.curve_tables import SeedCurves, TrialCurve
from tests.support.spaces import make
from tune_runs.space.space_sections import EarlyStoppingConfig, StoppingRule
from tune_runs.stopping.rungs import EarlyStopping, early_stopping

EPOCHS = 16


def curve(number: int, switch: int, *values: float, val_loss: float = 0.0, end: int = EPOCHS) -> TrialCurve:
    """Make a trial's curve from its values from the switch on; the last value repeats."""
    padded = [*values, *[values[-1]] * EPOCHS]
    return TrialCurve(number, switch, dict(zip(range(switch, end), padded, strict=False)), val_loss)


def cell_of(*curves: TrialCurve, seed: int = 0, **changes: object) -> SeedCurves:
    """Make the curves of one seed, with keys of the space changed."""
    return SeedCurves(make(dict(changes)), "digits", seed, dict.fromkeys(range(EPOCHS), 0.5), curves)


def stopping_of(cell: SeedCurves, rule: StoppingRule) -> EarlyStopping:
    """Return early stopping that compares from the first epoch of stage two."""
    config = EarlyStoppingConfig(rule=rule, grace_period=1)
    return early_stopping(cell.space.model_copy(update={"early_stopping": config}))


def three(better: Callable[[float], float] = lambda value: value) -> tuple[TrialCurve, ...]:
    """Make a steady trial, one that is poor except in its last epoch, and one that is good in its first epoch only.

    Args:
        better: converts a value that is better when larger to the metric.
    """
    steady, late, early = [0.9], [*[0.6] * 7, 0.99], [0.95, 0.7]
    return tuple(
        curve(number, switch, *map(better, values))
        for number, (switch, values) in enumerate(((8, steady), (8, late), (12, early)))
    )
