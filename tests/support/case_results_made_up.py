"""Made-up results of `benchmarks.search_cost`, to vary in tests."""

from __future__ import annotations

import dataclasses

from benchmarks.complete_curves.plain_asha import AshaClock
from benchmarks.search_cost.case_results import CaseResult, CommandRepeat, PlainComparison
from benchmarks.search_cost.search_cases import SearchCase

ON = SearchCase("range", is_stopping=True, num_trials=32, num_scenarios=1)
OFF = dataclasses.replace(ON, is_stopping=False)

REPEAT = CommandRepeat(
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


def against(clock: AshaClock | None = None, epochs: int = 1600, different: tuple[str, ...] = ()) -> PlainComparison:
    """Make a plain search."""
    return PlainComparison(
        clock, epochs, 0.9, (50.0,), num_same=32, num_same_epochs=99, num_same_whole=3, different=different
    )


def measured(
    case: SearchCase = ON,
    *repeats: CommandRepeat,
    plain: tuple[PlainComparison, ...] = (),
    exact_epochs: int | None = None,
    metric: str = "val_balanced_accuracy",
) -> CaseResult:
    """Make the result of a case, of one repeat where none is given."""
    return CaseResult(case, metric, exact_epochs, repeats or (REPEAT,), plain)
