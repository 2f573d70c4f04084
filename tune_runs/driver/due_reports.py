"""The epochs that a run reports at once, because the driver then decides something; short ones between come together.

A report costs its trial some 8 ms, and the driver nearly as much.
"""

from __future__ import annotations

from collections.abc import Callable

from tune_runs.space.model import SearchSpace
from tune_runs.stopping.rungs import early_stopping
from tune_runs.trial.trial_plan import TrialPlan

DueReports = Callable[[TrialPlan], tuple[int, ...] | None]
"""Gives the epochs done after which a run must report at once; None: after every epoch."""


def due_reports(space: SearchSpace) -> DueReports:
    """Return what a run must report at once.

    A trial must report at its rungs, and a trunk after the epochs at which others fork from it. The trunk of pair 0
    must report every epoch from then on, since gains at rungs are differences to it. Where the space has a budget,
    every epoch is counted at once.
    """
    stopping = early_stopping(space)

    def due(plan: TrialPlan) -> tuple[int, ...] | None:
        forks_at = plan.trunk.save_at if plan.trunk else ()
        if space.has_budget or plan.phase == "tuning":
            return None
        if plan.phase == "control" and plan.pair == 0:
            return tuple(range(forks_at[0], plan.config.epochs)) if forks_at else None
        if plan.phase != "search":
            return forks_at
        switch = plan.config.attention.switch_epoch if plan.config.attention else None
        epochs = range(stopping.start_of(switch), plan.config.epochs)
        return tuple(epoch + 1 for epoch in epochs if stopping.rung_at(switch, epoch))

    return due
