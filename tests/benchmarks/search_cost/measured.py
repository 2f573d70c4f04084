"""Measured cases to vary."""

from __future__ import annotations

import dataclasses

from benchmarks.peers import Clock
from benchmarks.search_cost.cases import Case
from benchmarks.search_cost.compare import Against, Measured, Repeat

ON = Case("range", is_stopping=True, num_trials=32, num_scenarios=1)
OFF = dataclasses.replace(ON, is_stopping=False)

REPEAT = Repeat(
    epochs=200,
    best=0.9,
    wall_s=11.0,
    ideal_s=10.0,
    critical_s=10.5,
    epochs_s=10.25,
    start_s=0.1,
    worker_s=0.05,
    end_s=0.05,
    besides_s=(0.1, 0.2, 1.0),
)


def against(clock: Clock | None = None, epochs: int = 1600, different: tuple[str, ...] = ()) -> Against:
    """The plain search, 1600 epochs unless told."""
    return Against(clock, epochs, 0.9, (50.0,), num_same=32, num_same_epochs=99, num_same_whole=3, different=different)


def measured(
    case: Case = ON,
    *repeats: Repeat,
    plain: tuple[Against, ...] = (),
    exact_epochs: int | None = None,
    metric: str = "val_balanced_accuracy",
) -> Measured:
    """Of one repeat unless told."""
    return Measured(case, metric, exact_epochs, repeats or (REPEAT,), plain)
