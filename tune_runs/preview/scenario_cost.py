"""The cost of a search: epochs and snapshots of each scenario, and wall time where an epoch was measured.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from tune_runs.space.model import SearchSpace
from tune_runs.stopping.rungs import EarlyStopping
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing
from tune_runs.tuned_controls.tuning_plan import epochs_after_fork


@dataclasses.dataclass(frozen=True)
class EpochTime:
    """Measured times of one epoch of a scenario."""

    stage_one_s: float
    """Seconds of an epoch of the control."""
    stage_two_s: float
    """Seconds of an epoch of a trial after its switch; equal to `stage_one_s` where no trial has a stage two."""
    snapshot_bytes: int
    """Size of the training state."""
    trained_share: float = 1.0
    """Share of an epoch that was trained; less than 1 where a whole one would have taken too long."""

    @property
    def longest_s(self) -> float:
        """Seconds of an epoch of the stage that takes longer."""
        return max(self.stage_one_s, self.stage_two_s)

    def seconds_of(self, stage_one: float, stage_two: float) -> float:
        """Return the seconds of a number of epochs of each stage."""
        return stage_one * self.stage_one_s + stage_two * self.stage_two_s


_Cost = TypeVar("_Cost")


def with_times(costs: Sequence[_Cost], times: Sequence[EpochTime | None]) -> list[tuple[_Cost, EpochTime]]:
    """Return the cost of each scenario with its measured times; nothing where those of one were not measured."""
    timed = [(cost, time) for cost, time in zip(costs, times, strict=False) if time is not None]
    return timed if len(timed) == len(costs) else []


@dataclasses.dataclass(frozen=True)
class ScenarioCost:
    """The cost of one scenario, its control included."""

    name: str
    sharing: StageOneSharing
    from_scratch: int
    """Epochs when every run trains from its first to its last."""
    shared: int | None
    """Epochs of trunks to the last one, and of forks from their switch on; None where stage one is not shared."""
    expected: int
    """Epochs as the search trains them, early stopping included where that is modelled."""
    stage_one: float
    """Epochs of `expected` that train the base criterion alone."""
    num_snapshots: int
    """Snapshots of all expected trunks; 0 where stage one is not shared."""
    time: EpochTime | None
    """Measured time of an epoch; None: not measured."""


def scenario_cost(
    space: SearchSpace, plan: ScenarioPlan, stopping: EarlyStopping, time: EpochTime | None = None
) -> ScenarioCost:
    """Return the cost of a scenario, with `time` where epochs were measured.

    Each trial is assumed to switch at the mean of its range. A trial without a stage two equals its control, and trains
    only its last epoch where stage one is shared.
    """
    shared = plan.sharing
    epochs, num_trials = space.epochs, space.num_trials
    before_fork = num_trials * shared.mean_fork_epoch
    trunks = shared.expected_trunks * epochs
    stage_one = trunks if shared.shares else epochs + before_fork
    return ScenarioCost(
        name=plan.name,
        sharing=shared,
        from_scratch=(num_trials + 1) * epochs,
        shared=round(trunks + num_trials * epochs - before_fork) if shared.shares else None,
        expected=round(stage_one + epochs_after_fork(num_trials, shared, stopping)),
        stage_one=stage_one,
        num_snapshots=round(shared.expected_trunks * len({*shared.fork_epochs, epochs})) if shared.shares else 0,
        time=time,
    )


def wall_time_s(epochs: int, costs: Sequence[ScenarioCost], concurrent: int) -> float | None:
    """Return the least wall time of a search whose epochs take the measured times; None where they were not measured.

    It is the longer of two: the longest chain, which is a control, or stage one up to the latest switch with a stage
    two after it; and all epochs spread over the simultaneous runs, where only trunks train until the first fork.

    Args:
        epochs: epochs of every run.
        costs: costs of all scenarios.
        concurrent: runs that train at the same time.
    """
    timed = [(cost, cost.time) for cost in costs if cost.time is not None]
    if len(timed) < len(costs):
        return None
    longest = max(_longest_chain_s(epochs, cost, time) for cost, time in timed)
    work = sum(time.seconds_of(cost.stage_one, cost.expected - cost.stage_one) for cost, time in timed)
    alone = min(_alone_s(cost, time) for cost, time in timed)
    num_trunks = min(concurrent, sum(cost.sharing.expected_trunks for cost in costs))
    return max(longest, alone + (work - num_trunks * alone) / concurrent)


def _longest_chain_s(epochs: int, cost: ScenarioCost, time: EpochTime) -> float:
    switch = max(cost.sharing.switch_epochs, default=epochs)
    return max(epochs * time.stage_one_s, time.seconds_of(switch, epochs - switch))


def _alone_s(cost: ScenarioCost, time: EpochTime) -> float:
    """Return the seconds until the first fork of a scenario, while its trunks train alone."""
    return min(cost.sharing.fork_epochs, default=0) * time.stage_one_s if cost.sharing.shares else 0.0
