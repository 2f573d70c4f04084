"""The cost of the tuned controls of a search.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tune_runs.preview.scenario_cost import EpochTime, with_times
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuning_plan import tuning_plan, tuning_stopping


class TuningCost(NamedTuple):
    """The runs and epochs of one scenario's tuned controls, apart from plain controls that its trials fork from."""

    num_runs: tuple[tuple[str, int], ...]
    """Control and number of configurations that it tries."""
    epochs: int
    """Most epochs, without inherited ones."""
    expected: int
    """Epochs where runs are stopped early as expected."""
    notes: tuple[str, ...]
    """A sentence for each control that cannot be tuned."""


def tuning_cost(space: SearchSpace, plan: ScenarioPlan) -> TuningCost:
    """Return the cost of a scenario's tuned controls, which is zero where the space tunes none.

    Plain runs count where the scenario's trials are not expected to train as many stage ones.
    """
    found = tuning_plan(space, plan)
    trunks = plan.sharing.expected_trunks if plan.sharing.shares else 1.0
    controls = {run.trial_id for run in found.runs if run.phase == "control"}
    plain = max(0, round(len(controls) - trunks)) * space.epochs
    forks = sum(run.config.epochs - run.fork_at for run in found.runs if run.phase == "tuning" and run.trunk)
    whole = [number for method in found.methods if (number := found.num_whole(method))]
    expected = sum(tuning_stopping(space).expected_epochs(number, (0,)) for number in whole)
    return TuningCost(
        tuple((method.name, len(method.runs)) for method in found.methods),
        plain + forks + sum(whole) * space.epochs,
        round(plain + forks + expected),
        found.notes,
    )


def tuning_wall_s(
    epochs: int, costs: Sequence[TuningCost], times: Sequence[EpochTime | None], concurrent: int
) -> float | None:
    """Return the least wall time of the expected runs; None where epochs were not measured or nothing is run.

    Args:
        epochs: epochs of every run.
        costs: cost of each scenario.
        times: epoch times of each scenario.
        concurrent: runs that train at the same time.
    """
    timed = with_times(costs, times)
    if not any(cost.epochs for cost, _ in timed) or not concurrent:
        return None
    work = sum(cost.expected * time.stage_one_s for cost, time in timed)
    return max(max(epochs * time.stage_one_s for _, time in timed), work / concurrent)
